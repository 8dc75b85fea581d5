package place

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// describer puts settings into octets that tell them apart, and are the same in every process. Its methods append to what
// they are given. It goes by exported fields, as some types have a JSON form that says nothing any more once they have
// been provisioned. It adds the ID of modules, and leaves out what is at its zero value, so that fields that a later
// version of a module brings change nothing.
type describer struct {
	kind   Kind
	opaque bool    // a module may differ from another one in what is not to be seen
	open   []visit // pointers that are being followed

	rival func(caddyhttp.MiddlewareHandler) bool // nil: none is looked for
	met   bool                                   // one was met
}

// value describes any value.
func (d *describer) value(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return d.pointed(b, v)
	case reflect.String:
		return text(b, v.String())
	case reflect.Bool:
		if v.Bool() {
			return append(b, 't')
		}
		return append(b, 'f')
	case reflect.Struct:
		return d.structure(b, v)
	case reflect.Slice, reflect.Array:
		return d.list(b, v)
	case reflect.Map:
		return d.table(b, v, d.value)
	default:
		return number(b, v)
	}
}

// number describes what has one; of what remains, such as functions, nothing can be said.
func number(b []byte, v reflect.Value) []byte {
	switch {
	case v.CanInt():
		return binary.AppendVarint(append(b, 'i'), v.Int())
	case v.CanUint():
		return binary.AppendUvarint(append(b, 'u'), v.Uint())
	case v.CanFloat():
		return binary.BigEndian.AppendUint64(append(b, 'd'), math.Float64bits(v.Float()))
	}
	return append(b, '-')
}

// text describes a text by its length and itself, so that two never run together.
func text(b []byte, s string) []byte {
	return append(binary.AppendUvarint(append(b, 's'), uint64(len(s))), s...)
}

func (d *describer) sum(v reflect.Value, how func([]byte, reflect.Value) []byte) Digest {
	return sha256.Sum256(how(nil, v))
}

// pointed describes what a pointer or an interface holds. What points back to where it is looked at from is not followed.
func (d *describer) pointed(b []byte, v reflect.Value) []byte {
	if v.IsNil() {
		return append(b, '0')
	}
	if h, ok := reflect.TypeAssert[caddyhttp.MiddlewareHandler](v); ok && d.kind != nil {
		if settings, ours := d.kind(h); ours {
			d.met = d.met || d.rival != nil && d.rival(h)
			return append(append(b, 'h'), settings[:]...)
		}
	}
	if module, ok := reflect.TypeAssert[caddy.Module](v); ok {
		return d.module(b, v, module)
	}
	if v.Kind() == reflect.Interface {
		if k := v.Elem().Kind(); k == reflect.Pointer || k == reflect.Struct {
			return append(b, '-') // neither a setting nor a module: something at work
		}
		return d.value(b, v.Elem())
	}
	return d.follow(b, v)
}

func (d *describer) follow(b []byte, pointer reflect.Value) []byte {
	at := visit{pointer.Type(), pointer.Pointer()}
	if slices.Contains(d.open, at) {
		return append(b, '^')
	}
	d.open = append(d.open, at)
	b = d.value(b, pointer.Elem())
	d.open = d.open[:len(d.open)-1]
	return b
}

// module describes a module by its ID, its settings, and its text, if it has one.
func (d *describer) module(b []byte, v reflect.Value, module caddy.Module) []byte {
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	b = text(append(b, 'm'), string(module.CaddyModule().ID))
	settings, describe := v, d.value
	if v.Kind() == reflect.Pointer {
		settings, describe = v.Elem(), d.follow
	}
	if !settings.IsValid() {
		return append(b, '0') // a nil pointer
	}
	said, says := marshaled(settings)
	d.opaque = d.opaque || hides(settings, says)
	return describe(text(b, said), v)
}

// hides reports whether a module has settings that cannot be seen: it is a function, it has read them into unexported
// fields by itself and has no text, or it has loaded modules and keeps them in such fields.
func hides(v reflect.Value, says bool) bool {
	if v.Kind() != reflect.Struct {
		return v.Kind() == reflect.Func
	}
	loaded, shown, exported := false, false, false
	for field, value := range v.Fields() {
		exported = exported || field.IsExported() || field.Anonymous
		loaded = loaded || strings.Contains(field.Tag.Get("caddy"), "namespace=")
		shown = shown || field.IsExported() && isLoaded(field.Type) && !value.IsZero()
	}
	reads := reflect.PointerTo(v.Type()).Implements(reflect.TypeFor[json.Unmarshaler]())
	return loaded && !shown || reads && !exported && !says
}

// list describes a list; its order counts.
func (d *describer) list(b []byte, v reflect.Value) []byte {
	b = binary.AppendVarint(append(b, 'l'), int64(v.Len()))
	for i := range v.Len() {
		b = d.value(b, v.Index(i))
	}
	return b
}

// table describes a map.
func (d *describer) table(b []byte, v reflect.Value, how func([]byte, reflect.Value) []byte) []byte {
	var entries []Digest
	for it := v.MapRange(); it.Next(); {
		entries = append(entries, digestOf([]Digest{d.sum(it.Key(), d.value), d.sum(it.Value(), how)}))
	}
	return set(append(b, 'x'), entries)
}

// set describes what has no order.
func set(b []byte, members []Digest) []byte {
	b = binary.AppendUvarint(b, uint64(len(members)))
	for _, member := range sorted(members) {
		b = append(b, member[:]...)
	}
	return b
}

// route describes a route. The name of its group is a number that shifts.
func (d *describer) route(b []byte, r *caddyhttp.Route) []byte {
	b = d.modules(append(b, 'r'), reflect.ValueOf(r.MatcherSets))
	b = d.list(b, reflect.ValueOf(r.Handlers))
	return d.value(b, reflect.ValueOf(r.Terminal))
}

func (d *describer) structure(b []byte, v reflect.Value) []byte {
	if v.Type() == routeType {
		route := v.Interface().(caddyhttp.Route)
		return d.route(b, &route)
	}
	return d.fields(append(b, '{'), v, nil)
}

// fields describes those fields of a struct whose type counts; nil: all do.
func (d *describer) fields(b []byte, v reflect.Value, counts func(reflect.Type) bool) []byte {
	seen := false
	for field, value := range v.Fields() {
		switch {
		case field.Anonymous && !field.IsExported() && field.Type.Kind() == reflect.Struct:
			b = d.fields(b, value, counts) // its own fields may be exported
			seen = true
		case field.IsExported():
			seen = true
			if counts == nil || counts(field.Type) {
				b = d.field(b, field, value)
			}
		}
	}
	if !seen && v.CanInterface() {
		said, _ := marshaled(v)
		b = text(b, said)
	}
	return append(b, '}')
}

func (d *describer) field(b []byte, field reflect.StructField, value reflect.Value) []byte {
	described := d.value
	if field.Tag.Get("json") == "-" {
		if !isLoaded(field.Type) {
			return b
		}
		described = d.modules
	}
	if value.Kind() != reflect.Struct && value.IsZero() { // a struct may have locks in it
		return b
	}
	return described(text(b, field.Name), value)
}

// isLoaded reports whether a field without a JSON form may hold what was loaded of another one that has it.
func isLoaded(t reflect.Type) bool {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t.Kind() == reflect.Interface || t.Implements(reflect.TypeFor[caddy.Module]())
}

// modules describes modules and lists and maps of them, and nothing else of what it finds. Lists have no order here: some
// of them, such as matchers of one set, have come out of a map.
func (d *describer) modules(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Slice:
		var members []Digest
		for i := range v.Len() {
			members = append(members, d.sum(v.Index(i), d.modules))
		}
		return set(append(b, 'l'), members)
	case reflect.Map:
		return d.table(b, v, d.modules)
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return append(b, '0')
		}
	default:
	}
	module, ok := reflect.TypeAssert[caddy.Module](v)
	if _, app := reflect.TypeAssert[caddy.App](v); !ok || app {
		return append(b, '-') // an app has settings that are not this module's
	}
	return d.module(b, v, module)
}

// marshaled is the text of a value that has one, such as an address or an expression. Values that have none are not
// copied: there may be locks in them.
func marshaled(v reflect.Value) (string, bool) {
	if v.CanAddr() {
		v = v.Addr()
	}
	if !v.Type().Implements(reflect.TypeFor[encoding.TextMarshaler]()) && !v.Type().Implements(reflect.TypeFor[json.Marshaler]()) {
		return "", false
	}
	var said []byte
	var err error
	switch m := v.Interface().(type) {
	case encoding.TextMarshaler:
		said, err = m.MarshalText()
	case json.Marshaler:
		said, err = m.MarshalJSON()
	}
	return string(said), err == nil
}
