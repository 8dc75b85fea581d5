package tag

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"
	"time"

	"github.com/zeebo/xxh3"
)

// Digest is 128 bits that stand for a representation's content and metadata.
type Digest [16]byte

// Maker makes digests. The zero value uses XXH3; it may be used concurrently.
//
// XXH3 tells any two bodies apart that nobody has constructed to collide. Where one party may choose
// both bodies, SHA256 or a Secret is the choice.
type Maker struct {
	// SHA256 selects SHA-256, cut to 128 bits, in place of XXH3.
	SHA256 bool
	// Secret, when not empty, selects HMAC-SHA-256 with this key, so that a digest tells nothing of
	// the content to those who do not know the key.
	Secret []byte
	// Epoch is mixed in: another epoch gives every representation another digest.
	Epoch string
}

// Metadata is the part of the representation metadata that belongs to a representation's identity:
// the same bytes under another media type or coding are another representation.
type Metadata struct {
	ContentType     []string // the field lines, as sent
	ContentEncoding []string // the field lines, as sent
}

// Digest returns the digest of a whole body under its metadata.
func (m *Maker) Digest(meta Metadata, body []byte) Digest {
	switch {
	case len(m.Secret) > 0:
		return cut(hmac.New(sha256.New, m.Secret), m.frame(nil, meta), body)
	case m.SHA256:
		return cut(sha256.New(), m.frame(nil, meta), body)
	default:
		// The metadata enters as the seed, so that the body is read once. The space is not shared with
		// the cases above: what they write to a hash.Hash is allocated, and here nothing is.
		var space [256]byte
		return xxh3.Hash128Seed(body, xxh3.Hash(m.frame(space[:0], meta))).Bytes()
	}
}

// frame writes the metadata and the epoch so that no two different sets give the same bytes: every
// line is led by its length, every list by its number of lines.
func (m *Maker) frame(dst []byte, meta Metadata) []byte {
	for _, lines := range [...][]string{meta.ContentEncoding, meta.ContentType} {
		dst = binary.AppendUvarint(dst, uint64(len(lines)))
		for _, line := range lines {
			dst = binary.AppendUvarint(dst, uint64(len(line)))
			dst = append(dst, line...)
		}
	}
	return append(dst, m.Epoch...)
}

func cut(h hash.Hash, framed, body []byte) (d Digest) {
	var space [sha256.Size + 8]byte
	h.Write(binary.LittleEndian.AppendUint64(space[:0], uint64(len(framed))))
	h.Write(framed)
	h.Write(body)
	copy(d[:], h.Sum(space[:0]))
	return d
}

// Field returns the value of an ETag field: the digest as an entity tag, weak or strong, carrying
// date unless it is zero or before 1970.
func (d Digest) Field(weak bool, date time.Time) string { return d.FieldFor(weak, date, "") }

// FieldFor is Field, with for whom the date counts: 12 digits from 0 to 9 and a to v, or empty for nobody in particular.
func (d Digest) FieldFor(weak bool, date time.Time, who string) string {
	var space [2 + 2 + opaqueLen + 1 + maxDigits + 1 + whoLen]byte
	b := space[:0]
	if weak {
		b = append(b, 'W', '/')
	}
	b = append(b, '"')
	b = append(b, prefix...)
	b = hex.AppendEncode(b, d[:])
	if seconds := date.Unix(); !date.IsZero() && seconds > 0 {
		b = append(b, '.')
		b = strconv.AppendInt(b, seconds, 36)
		if who != "" {
			b = append(b, '.')
			b = append(b, who...)
		}
	}
	return string(append(b, '"'))
}
