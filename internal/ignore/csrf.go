package ignore

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// format is a form of tokens. Its number is part of what digests are made from.
type format byte

const (
	// Django: a mask of 32 letters and digits, and 32 more that are the secret's plus the mask's modulo 62, in the order
	// a-z A-Z 0-9 (django/middleware/csrf.py, _mask_cipher_secret, since 1.10).
	django format = 'D'
	// Rails: base64, in older versions of the usual alphabet with padding, now of the URL-safe one without, of a pad of
	// 32 bytes and the token XOR the pad (actionpack request_forgery_protection.rb, mask_token, since 4.2). So does
	// Rack::Protection::AuthenticityToken of Sinatra and Hanami.
	rails format = 'R'
	// Spring Security: URL-safe base64 of random bytes and the token XOR these, where the token is a UUID in its
	// 36 letters (XorCsrfTokenRequestAttributeHandler, createXoredCsrfToken, since 5.8).
	spring format = 'S'
	// Phoenix: base64 (URL-safe since Plug 1.5) of a token of 24 letters XOR a mask of 24 letters, and that mask
	// (Plug.CSRFProtection, mask).
	phoenix format = 'P'
	// Symfony: three parts with dots between them, of which the second is a key of 32 random bytes and the third the token
	// XOR the key, repeated, both in URL-safe base64 without padding. The first part is a beginning of the key's hash in
	// hex digits, as long as the key's first byte modulo 32 and one, and only there to make the length vary. The token is
	// URL-safe base64 of 32 bytes (CsrfTokenManager, randomize, since 5.3; UriSafeTokenGenerator).
	symfony format = 'Y'
	// ASP.NET: encrypted by the server, URL-safe base64 (Core: Microsoft.AspNetCore.Antiforgery, whose protected payloads
	// begin with the bytes 09 F0 C9 F0; Framework: System.Web.Helpers.AntiForgery, UrlTokenEncode). Nobody else can
	// unmask it. It is bound to the antiforgery cookie and to who is signed in (see visitorOf).
	aspNet format = 'A'
)

// field is the name of a form's field or of a page's metadata, and the formats of its value. A value in none of them
// counts as it is.
//
// The `_token` of Laravel (Illuminate\Foundation\Http\Middleware\VerifyCsrfToken) is not among them, nor is there a
// format for the 40 letters in its `csrf-token`: it is the session's own and never masked, so as a part of the page it
// changes exactly when it should.
type field struct {
	name    string // exactly; one that begins with * stands for all that end so
	formats []format
}

// is reports whether a name is the field's.
func (f *field) is(name []byte) bool {
	if end, anyBegin := strings.CutPrefix(f.name, "*"); anyBegin {
		return bytes.HasSuffix(name, []byte(end))
	}
	return string(name) == f.name
}

// inputs are hidden inputs.
var inputs = [...]field{
	{"csrfmiddlewaretoken", []format{django}},
	{"authenticity_token", []format{rails}},
	{"__RequestVerificationToken", []format{aspNet}},
	{"_csrf", []format{spring}},
	{"_csrf_token", []format{phoenix, symfony}},
	// Of Symfony's forms, which have a name before it mostly.
	{"*[_token]", []format{symfony}},
	{"_token", []format{symfony}},
	// Of no framework's own, but what people name a field that they write by hand.
	{"csrf_token", masks[:]},
}

// metas are meta elements. `csrf-param`, `_csrf_header` and `_csrf_parameter` beside them are names, and the same each
// time.
var metas = [...]field{
	// Rails (csrf_meta_tags), Phoenix (root layout), and by custom Django; of Laravel, it is as above.
	{"csrf-token", []format{rails, phoenix, django, symfony}},
	{"_csrf", []format{spring}}, // as in the reference of Spring Security
}

// mayHaveToken reports whether the name of a field, or of a token elsewhere, may be in a body. An underscore is rarer
// than a letter, which makes it the better beginning to look for; "srf" is that of csrf and xsrf.
func mayHaveToken(body []byte) bool {
	return bytes.Contains(body, []byte("_token")) || bytes.Contains(body, []byte("-token")) ||
		bytes.Contains(body, []byte("__RequestVerificationToken")) || indexFold(body, "srf") >= 0
}

func appendDjango(to, token []byte) ([]byte, bool) {
	const half, alphabet = 32, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	if len(token) != 2*half {
		return nil, false
	}
	for i := range half {
		mask, cipher := strings.IndexByte(alphabet, token[i]), strings.IndexByte(alphabet, token[half+i])
		if mask < 0 || cipher < 0 {
			return nil, false
		}
		to = append(to, alphabet[(cipher-mask+len(alphabet))%len(alphabet)])
	}
	return to, true
}

func appendRails(to, token []byte) ([]byte, bool) {
	const size = 32
	var space [maxDecodedToken]byte
	bytes, ok := decodeToken(&space, token, 2*size)
	if !ok {
		return nil, false
	}
	return appendXOR(to, bytes[:size], bytes[size:]), true
}

func appendSpring(to, token []byte) ([]byte, bool) {
	const size = 36
	var space [maxDecodedToken]byte
	bytes, ok := decodeToken(&space, token, 2*size)
	if !ok {
		return nil, false
	}
	before := len(to)
	to = appendXOR(to, bytes[:size], bytes[size:])
	return to, isUUID(to[before:])
}

func appendPhoenix(to, token []byte) ([]byte, bool) {
	const size, coded = 24, 32
	var space [maxDecodedToken]byte
	if len(token) != coded+size {
		return nil, false
	}
	bytes, ok := decodeToken(&space, token[:coded], size)
	if !ok {
		return nil, false
	}
	before := len(to)
	to = appendXOR(to, bytes, token[coded:])
	for _, c := range to[before:] {
		if !isBase64(c) && c != '=' {
			return nil, false
		}
	}
	return to, true
}

func appendSymfony(to, token []byte) ([]byte, bool) {
	const keySize, size = 32, 43
	hash, rest, ok := bytes.Cut(token, []byte("."))
	coded, masked, both := bytes.Cut(rest, []byte("."))
	if !ok || !both || len(masked) != (size*8+5)/6 { // which a third dot would be in
		return nil, false
	}
	var keySpace, space [maxDecodedToken]byte
	key, ok := decodeToken(&keySpace, coded, keySize)
	if !ok || len(hash) != 1+int(key[0])%32 || !isHex(hash) {
		return nil, false
	}
	secret, ok := decodeToken(&space, masked, size)
	if !ok {
		return nil, false
	}
	before := len(to)
	to = appendXOR(appendXOR(to, key, secret), key, secret[keySize:])
	for _, c := range to[before:] {
		if !isAlphanumeric(c) && c != '-' && c != '_' {
			return nil, false
		}
	}
	return to, true
}

// isHex: lower-case hex digits.
func isHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// appendXOR is as long as the shorter one.
func appendXOR(to, a, b []byte) []byte {
	for i := range min(len(a), len(b)) {
		to = append(to, a[i]^b[i])
	}
	return to
}

// maxDecodedToken is the length of the longest token that is decoded, Spring's.
const maxDecodedToken = 72

// decodeToken decodes base64 of size bytes, of either alphabet, padded or not.
func decodeToken(space *[maxDecodedToken]byte, token []byte, size int) ([]byte, bool) {
	var plain [maxDecodedToken/3*4 + 2]byte
	if len(token) > len(plain) {
		return nil, false
	}
	n := copy(plain[:], token)
	for i, c := range plain[:n] {
		switch c {
		case '-':
			plain[i] = '+'
		case '_':
			plain[i] = '/'
		case '\r', '\n':
			return nil, false // which the decoder skips
		}
	}
	if n%4 == 0 {
		for range 2 {
			if n > 0 && plain[n-1] == '=' {
				n--
			}
		}
	}
	if base64.RawStdEncoding.DecodedLen(n) != size {
		return nil, false
	}
	_, err := base64.RawStdEncoding.Strict().Decode(space[:], plain[:n])
	return space[:size], err == nil
}

// isUUID: 8-4-4-4-12 hex digits (RFC 9562 §4).
func isUUID(b []byte) bool {
	for i, c := range b {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F'):
			return false
		}
	}
	return true
}

// isProtected reports whether a value looks like a token of ASP.NET: of 64 letters of URL-safe base64 or more, where the
// shortest that were seen have some 90.
func isProtected(token []byte) bool {
	for _, c := range token {
		if !isAlphanumeric(c) && c != '-' && c != '_' {
			return false
		}
	}
	return len(token) >= 64
}
