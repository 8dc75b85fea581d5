package audit

import "github.com/conditionalcache/caddy-conditional-cache/internal/httpcond"

// checkReplicas compares the plain page of all addresses.
func checkReplicas(o *Observation) (all []Finding) {
	page := o.page()
	if page == nil {
		return nil
	}
	for _, replica := range o.Replicas {
		all = append(all, compareReplica(o, page, replica)...)
	}
	return all
}

func compareReplica(o *Observation, page, replica *Exchange) []Finding {
	at := " at " + replica.Address
	if replica.Err != nil {
		return []Finding{found(Unreachable, cause(replica.Err)+at)}
	}
	if replica.Status != page.Status {
		return []Finding{found(ReplicaBody, "another status"+at)}
	}
	if !o.steady() || page.Cut || replica.Cut {
		return nil // what changes by itself tells nothing of replicas
	}
	if page.Digest != replica.Digest {
		return []Finding{found(ReplicaBody, "other octets"+at)}
	}
	tag, ok := page.tag()
	tagThere, okThere := replica.tag()
	if ok != okThere || ok && !httpcond.WeakMatch(tag, tagThere, nil) {
		return []Finding{found(ReplicaTag, "ETag: "+tag.String()+", and "+replica.Header.Get("Etag")+at)}
	}
	if a, b := page.Header.Get("Last-Modified"), replica.Header.Get("Last-Modified"); a != b && page.modified() != page.date() {
		return []Finding{found(ReplicaDate, "Last-Modified: "+a+", and "+b+at)}
	}
	return nil
}
