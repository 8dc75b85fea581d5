package tag

import (
	"encoding/hex"
	"fmt"
	"testing"
)

// pattern is a body in which no two neighbouring blocks are alike.
func pattern(n int) []byte {
	body := make([]byte, n)
	for i := range body {
		body[i] = byte(i % 251)
	}
	return body
}

var html = []string{"text/html; charset=utf-8"}

// The vectors come from other implementations (libxxhash; Python's hashlib and hmac). They are the
// format: a change that breaks one of them gives every representation another tag, which invalidates
// what every client has stored, and needs a new number in the tag's prefix. Do not update them.
func TestDigestVectors(t *testing.T) {
	bare := Metadata{}
	coded := Metadata{ContentType: html, ContentEncoding: []string{"gzip"}}
	tests := []struct {
		name, epoch        string
		meta               Metadata
		body               []byte
		xxh3, sha256, hmac string
	}{
		{
			"empty body without metadata", "", bare, nil,
			"2741f5fa461739fa7a3a196de3d6a3e4", "337a32712f14c5df0b57a64bd6c321a0", "a9cfdf09f52cb140e75f2a9ef600f0d0",
		},
		{
			"short body without metadata", "", bare, []byte("hello"),
			"00218a3d2740aa62580aa662c690fe9a", "7386ec6b5fb4ef8b20a8faf08e37b491", "7234f4040260b4ea6462edb6fbe6f767",
		},
		{
			"long body without metadata", "", bare, pattern(1000),
			"eb7460aafe70df3cd4069d00cb42e97a", "add4f66c4f87596e5ae05336d263d7d4", "83ad2420a3e35fe4bb12cd35339e1b9d",
		},
		{
			"short body with a media type", "",
			Metadata{ContentType: html},
			[]byte("hello"),
			"f611bbfc3855c47d9e7bdb100918aa95", "c4bc016631908d6beb8ee54ed0af1970", "896107bba1af7477059f7f8495080016",
		},
		{
			"long body with everything", "2", coded, pattern(1000),
			"b8dc3093846e7be1e0009c41f9fa6559", "16824cfb6629779d07cb97626c6a4456", "2efc2ea20441dcf9bc39507fe2fe6760",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, kind := range []struct {
				name, want string
				maker      Maker
			}{
				{"XXH3", tt.xxh3, Maker{Epoch: tt.epoch}},
				{"SHA-256", tt.sha256, Maker{Epoch: tt.epoch, SHA256: true}},
				{"HMAC", tt.hmac, Maker{Epoch: tt.epoch, Secret: []byte("secret")}},
				{"HMAC whatever the hash", tt.hmac, Maker{Epoch: tt.epoch, SHA256: true, Secret: []byte("secret")}},
			} {
				d := kind.maker.Digest(tt.meta, tt.body)
				if got := hex.EncodeToString(d[:]); got != kind.want {
					t.Errorf("%s: got %s, want %s", kind.name, got, kind.want)
				}
			}
		})
	}
}

// makers are all ways to make a digest.
func makers(epoch string) map[string]*Maker {
	return map[string]*Maker{
		"XXH3":    {Epoch: epoch},
		"SHA-256": {Epoch: epoch, SHA256: true},
		"HMAC":    {Epoch: epoch, Secret: []byte("k")},
	}
}

// Everything that makes another representation makes another digest, and lists that only read alike
// when they are strung together are told apart.
func TestDigestDistinguishes(t *testing.T) {
	type input struct {
		epoch string
		meta  Metadata
		body  string
	}
	lines := func(l ...string) []string { return l }
	inputs := []input{
		{},
		{body: "\x00"},
		{body: "a"},
		{epoch: "a"},
		{epoch: "b"},
		{meta: Metadata{ContentType: lines("")}},
		{meta: Metadata{ContentType: lines("a")}},
		{meta: Metadata{ContentEncoding: lines("a")}},
		{meta: Metadata{ContentType: lines("a")}, epoch: "a"},
		{meta: Metadata{ContentType: lines("a")}, body: "a"},
		{meta: Metadata{ContentEncoding: lines("a"), ContentType: lines("a")}},
		{meta: Metadata{ContentType: lines("ab", "c")}},
		{meta: Metadata{ContentType: lines("a", "bc")}},
		{meta: Metadata{ContentType: lines("abc")}},
		{meta: Metadata{ContentType: lines("ab"), ContentEncoding: lines("c")}},
		{meta: Metadata{ContentType: lines("a"), ContentEncoding: lines("bc")}},
		{meta: Metadata{ContentType: lines("ab")}, epoch: "c"},
		{meta: Metadata{ContentType: lines("a")}, epoch: "bc"},
		{meta: Metadata{ContentType: lines("a", "")}},
		{meta: Metadata{ContentType: lines("", "a")}},
	}
	seen := map[Digest]string{}
	for i, in := range inputs {
		for name, m := range makers(in.epoch) {
			d := m.Digest(in.meta, []byte(in.body))
			what := fmt.Sprintf("%s of input %d %+v", name, i, in)
			if other, ok := seen[d]; ok {
				t.Errorf("the same digest:\n%s\n%s", what, other)
			}
			seen[d] = what
		}
	}
}

func TestSecretsMakeDifferentDigests(t *testing.T) {
	a := (&Maker{Secret: []byte("a")}).Digest(Metadata{}, nil)
	b := (&Maker{Secret: []byte("b")}).Digest(Metadata{}, nil)
	if a == b {
		t.Error("two secrets gave the same digest")
	}
}

// A field that is not there can be a nil or an empty list, depending on who deleted it: a tag must not
// tell them apart.
func TestAbsentFieldIsNilOrEmptyList(t *testing.T) {
	for name, m := range makers("") {
		none := m.Digest(Metadata{}, []byte("body"))
		empty := m.Digest(Metadata{ContentType: []string{}, ContentEncoding: []string{}}, []byte("body"))
		if none != empty {
			t.Errorf("%s: nil gives %x, an empty list %x", name, none, empty)
		}
	}
}

// FuzzDigest looks for two inputs that are not the same and whose digests are.
func FuzzDigest(f *testing.F) {
	f.Add("", "", "", "", "", "a")
	f.Add("text/html", "", "body", "text/html", "gzip", "body")
	f.Add("ab", "c", "", "a", "bc", "")
	f.Add("a", "", "b", "", "a", "b")
	f.Add("text/plain", "br", string(pattern(240)), "text/plain", "br", string(pattern(241)))
	f.Add("", "", string(make([]byte, 1024)), "", "", string(make([]byte, 1025)))
	f.Fuzz(func(t *testing.T, typeA, codingA, bodyA, typeB, codingB, bodyB string) {
		a := Metadata{ContentType: []string{typeA}, ContentEncoding: []string{codingA}}
		b := Metadata{ContentType: []string{typeB}, ContentEncoding: []string{codingB}}
		same := typeA == typeB && codingA == codingB && bodyA == bodyB
		for name, m := range makers("") {
			digestA, digestB := m.Digest(a, []byte(bodyA)), m.Digest(b, []byte(bodyB))
			if (digestA == digestB) != same {
				t.Errorf("%s: inputs equal: %t, digests %x and %x", name, same, digestA, digestB)
			}
		}
	})
}

func TestDigestAllocatesNothing(t *testing.T) {
	m := &Maker{Epoch: "2026-01"}
	meta := Metadata{ContentType: html, ContentEncoding: []string{"gzip"}}
	for _, size := range []int{0, 16, 200, 4 << 10, 64 << 10} {
		body := pattern(size)
		if n := testing.AllocsPerRun(100, func() { m.Digest(meta, body) }); n != 0 {
			t.Errorf("%d bytes: %v allocations", size, n)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	meta := Metadata{ContentType: html}
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		body := pattern(size)
		for _, hash := range []string{"XXH3", "SHA-256", "HMAC"} {
			m := makers("")[hash]
			b.Run(fmt.Sprintf("hash=%s/size=%dKiB", hash, size>>10), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					m.Digest(meta, body)
				}
			})
		}
	}
}
