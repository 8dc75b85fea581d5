package validators_test

import (
	"fmt"
	"net/url"
	"time"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// Spellings of one URI have one form, so that all of them are forgotten together.
func ExampleNewURI() {
	for _, spelled := range []string{"https://Example.com/a%62c?q=1", "http://example.com.:80/abc?q=1"} {
		u, err := url.Parse(spelled)
		if err != nil {
			fmt.Println(err)
			return
		}
		uri := validators.NewURI(u.Host, u)
		fmt.Println(uri.Host, uri.Path)
	}

	// Output:
	// example.com /abc
	// example.com /abc
}

// A scope covers a path and what lies below it, at a segment boundary.
func ExampleScope_Covers() {
	blog := validators.Scope{Host: "example.com", Path: "/blog"}
	for _, path := range []string{"/blog", "/blog/2026?page=2", "/blogs"} {
		u, err := url.Parse("https://example.com" + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(path, blog.Covers(validators.NewURI(u.Host, u)))
	}

	// Output:
	// /blog true
	// /blog/2026?page=2 true
	// /blogs false
}

// A record as a store sends it elsewhere, and reads it again.
func ExampleDecode() {
	kept := validators.Record{
		ETag: `"cc1.6618e715d8086bb1dcaf9626237f54b4"`, Size: 12,
		Received: time.UnixMilli(1_700_000_000_000), Lifetime: 10 * time.Minute,
	}
	kept.AddField("Cache-Control", "public")
	encoded, err := kept.AppendBinary(nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	record, err := validators.Decode(string(encoded))
	fmt.Println(record.ETag, record.Lifetime, err)
	for name, value := range record.Fields() {
		fmt.Println(name, value)
	}
	_, err = validators.Decode("something else")
	fmt.Println(err)

	// Output:
	// "cc1.6618e715d8086bb1dcaf9626237f54b4" 10m0s <nil>
	// Cache-Control public
	// not a record of this version
}

// A record whose request began before a purge that covers it counts no longer.
func ExamplePurges_Cover() {
	u, err := url.Parse("https://example.com/blog/2026")
	if err != nil {
		fmt.Println(err)
		return
	}
	page := validators.NewURI(u.Host, u)
	purges := new(validators.Purges)
	before := purges.Last()
	purges = purges.With(validators.Purge{Number: before + 1, Scope: validators.Scope{Path: "/blog"}})

	fmt.Println(purges.Cover(before, page), purges.Cover(purges.Last(), page))

	// Output:
	// true false
}
