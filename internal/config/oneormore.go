package config

import "encoding/json"

// OneOrMore is a list of texts. JSON may have one text in its place, and has it where there is one.
type OneOrMore []string //nolint:recvcheck // encoding/json writes values, and reads into pointers

// UnmarshalJSON implements json.Unmarshaler. An empty text is none.
func (o *OneOrMore) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) != nil {
		return json.Unmarshal(raw, (*[]string)(o))
	}
	if *o = nil; one != "" {
		*o = OneOrMore{one}
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (o OneOrMore) MarshalJSON() ([]byte, error) {
	if len(o) == 1 {
		return json.Marshal(o[0])
	}
	return json.Marshal([]string(o))
}

// Kind implements jsonread.Kinder.
func (*OneOrMore) Kind() string { return "a text, or a list of texts" }
