package jsonread

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// word is a type that reads itself, and says what it takes.
type word string

func (w *word) UnmarshalJSON(raw []byte) error {
	if string(raw) != `"yes"` {
		return errors.New("no")
	}
	*w = "yes"
	return nil
}

func (*word) Kind() string { return `"yes"` }

type inner struct {
	Names []string `json:"names,omitempty"`
	Count int      `json:"count,omitempty"`
}

type outer struct {
	One    *inner            `json:"one,omitempty"`
	Many   []inner           `json:"many,omitempty"`
	Table  map[string]inner  `json:"table,omitempty"`
	Wait   caddy.Duration    `json:"wait,omitempty"`
	Word   word              `json:"word,omitempty"`
	Share  float64           `json:"share,omitempty"`
	Yes    bool              `json:"yes,omitempty"`
	Module json.RawMessage   `json:"module,omitempty"`
	hidden map[string]string //nolint:unused // as what Caddy's modules keep beside their configuration
}

// TestRefused: an error says which field it is, what that has to be, and how it is written; in no word of Go.
func TestRefused(t *testing.T) {
	examples := Examples{"many": `[{"count": 1}]`, "many.count": `1`, "one.names": `["a"]`}
	for raw, want := range map[string]string{
		`[]`:                              `what is here has to be an object, and is []`,
		`{"many": {}}`:                    `many has to be a list, and is {}; write "many": [{"count": 1}]`,
		`{"many": [{}, {"count": "1"}]}`:  `many[1].count has to be a whole number, and is "1"; write "count": 1`,
		`{"many": [1]}`:                   `many[0] has to be an object, and is 1; write "many": [{"count": 1}]`,
		`{"one": {"names": "a"}}`:         `one.names has to be a list, and is "a"; write "names": ["a"]`,
		`{"one": {"names": ["a", 1]}}`:    `one.names has to be a list, and is ["a", 1]; write "names": ["a"]`,
		`{"one": {"count": 1e99}}`:        `one.count has to be a whole number, and is 1e99`,
		`{"table": {"x": {"count": {}}}}`: `table.x.count has to be a whole number, and is {}`,
		`{"table": []}`:                   `table has to be an object, and is []`,
		`{"wait": "soon"}`:                `wait has to be a duration, and is "soon"`,
		`{"word": "no"}`:                  `word has to be "yes", and is "no"`,
		`{"share": "1%"}`:                 `share has to be a number, and is "1%"`,
		`{"yes": "on"}`:                   `yes has to be true or false, and is "on"`,
		`{"yse": true}`:                   `unknown field "yse"; there are many, module, one, share, table, wait, word, yes`,
		`{"one": {"name": "a"}}`:          `unknown field "name" of one; there are count, names`,
		`{"hidden": {}}`:                  `unknown field "hidden"; there are many, module, one, share, table, wait, word, yes`,
		`{"yes": "` + "0123456789012345678901234567890123456789" + `"}`: `yes has to be true or false, and is "012345678901234567890123456789012345678...`,
	} {
		if err := Into([]byte(raw), new(outer), examples); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", raw, err, want)
		}
	}
}

// TestRead: what has nothing wrong is read as encoding/json reads it.
func TestRead(t *testing.T) {
	for _, raw := range []string{
		`{}`, `null`, ` {"one": null, "ONE": {"Count": 2}}`, `{"many": [{"names": ["a"]}, {}], "table": {"x": {"count": 1}}}`,
		`{"wait": "1d", "word": "yes", "share": 1.5, "yes": true, "module": {"anything": [1]}}`, `{"wait": 5}`,
	} {
		got, want := new(outer), new(outer)
		if err := errors.Join(Into([]byte(raw), got, nil), json.Unmarshal([]byte(raw), want)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", raw, got, err, want)
		}
	}
}
