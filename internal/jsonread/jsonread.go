// Package jsonread reads the JSON of a configuration, and says what is wrong in it in the words of the configuration: which
// field it is, what that has to be, and how it is written. encoding/json speaks of Go's types.
package jsonread

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Examples are values of fields as they are written, by the path of the field: `buffer.max_body`, and for what is in a
// list the path of the list before it.
type Examples map[string]string

// Into reads raw into a pointer to a struct. Unlike Caddy itself it does so strictly wherever it is called from.
func Into(raw []byte, into any, examples Examples) error {
	if err := (walker{examples}).value(raw, reflect.TypeOf(into).Elem(), ""); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// walker compares JSON with the type that it is read into.
type walker struct{ examples Examples }

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// value checks one value. What is null is as if it were not there.
func (w walker) value(raw json.RawMessage, t reflect.Type, path string) error {
	raw = bytes.TrimSpace(raw)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	readsItself := reflect.PointerTo(t).Implements(unmarshaler)
	switch kind := t.Kind(); {
	case string(raw) == "null":
		return nil
	case kind == reflect.Struct && !readsItself:
		return w.object(raw, t, path)
	case kind == reflect.Map && !readsItself:
		return w.table(raw, t, path)
	case kind == reflect.Slice && !readsItself:
		return w.list(raw, t, path)
	case json.Unmarshal(raw, reflect.New(t).Interface()) != nil:
		return w.refuse(raw, t, path)
	}
	return nil
}

func (w walker) object(raw json.RawMessage, t reflect.Type, path string) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return w.refuse(raw, t, path)
	}
	fields := fieldsOf(t)
	for _, name := range sorted(members) {
		field, known := fields[strings.ToLower(name)] // as encoding/json does
		if !known {
			return unknown(name, path, fields)
		}
		if err := w.value(members[name], field, join(path, strings.ToLower(name))); err != nil {
			return err
		}
	}
	return nil
}

func (w walker) table(raw json.RawMessage, t reflect.Type, path string) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return w.refuse(raw, t, path)
	}
	for _, name := range sorted(members) {
		if err := w.value(members[name], t.Elem(), join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

func (w walker) list(raw json.RawMessage, t reflect.Type, path string) error {
	var members []json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return w.refuse(raw, t, path)
	}
	ofObjects := t.Elem().Kind() == reflect.Struct
	for i, member := range members {
		err := w.value(member, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		switch {
		case err != nil && ofObjects:
			return err
		case err != nil: // the whole list is short enough to be shown
			return w.refuse(raw, t, path)
		}
	}
	return nil
}

// refuse says what a value has to be.
func (w walker) refuse(raw json.RawMessage, t reflect.Type, path string) error {
	is := string(raw)
	if len(is) > 40 {
		is = strings.ToValidUTF8(is[:40], "") + "..."
	}
	name, _, _ := strings.Cut(path[strings.LastIndex(path, ".")+1:], "[")
	text := fmt.Sprintf("%s has to be %s, and is %s", strings.TrimPrefix(path, "."), kindOf(t), is)
	if path == "" {
		text = fmt.Sprintf("what is here has to be %s, and is %s", kindOf(t), is)
	}
	if example := w.example(path); example != "" {
		text += fmt.Sprintf("; write %q: %s", name, example)
	}
	return errors.New(text)
}

// example is that of the field, whichever place of a list it is in.
func (w walker) example(path string) string {
	var plain strings.Builder
	for part := range strings.SplitSeq(path, "[") {
		if _, rest, found := strings.Cut(part, "]"); found {
			part = rest
		}
		plain.WriteString(part)
	}
	return w.examples[plain.String()]
}

// Kinder is a type that says itself what its values are.
type Kinder interface{ Kind() string }

// kindOf says in words what a type is in JSON.
func kindOf(t reflect.Type) string {
	if says, is := reflect.TypeAssert[Kinder](reflect.New(t)); is {
		return says.Kind()
	}
	if t == reflect.TypeFor[caddy.Duration]() {
		return "a duration"
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

func unknown(name, path string, fields map[string]reflect.Type) error {
	of := ""
	if path != "" {
		of = " of " + path
	}
	names := sorted(fields)
	return fmt.Errorf("unknown field %q%s; there are %s", name, of, strings.Join(names, ", "))
}

// fieldsOf are the fields of a struct by their names in JSON, and those of the structs that are embedded in it.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	all := make(map[string]reflect.Type)
	for field := range t.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "-" && field.IsExported() {
			all[strings.ToLower(name)] = field.Type
		}
	}
	return all
}

func join(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
