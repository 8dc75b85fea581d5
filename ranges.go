package conditionalcache

// Ranges says which responses Range is answered out of, and how often.
type Ranges struct {
	// `on` (default): 200 responses to GET that have a strong validator and are held, or declare a length of at
	// most max_body, unless the upstream says `Accept-Ranges: none`. `stream`: whatever the upstream says; one
	// range also of those that declare a greater length, cut out of the passing body, up to its last byte; and
	// those without a validator, where no content coding can follow. With such a one nobody can tell whether two
	// parts are of the same version. `off`: none.
	Mode string `json:"mode,omitempty"`

	// How many ranges are answered in one response, from 1 to 1000; to more of them the whole is sent. Those that
	// stand side by side in the request, and touch or overlap, are one. Default: 16. Not beside `off`.
	Max int `json:"max,omitempty"`
}
