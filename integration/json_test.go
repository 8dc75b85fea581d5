package integration

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	conditionalcache "github.com/conditionalcache/caddy-conditional-cache"
	"github.com/conditionalcache/caddy-conditional-cache/internal/config"
)

// TestJSONExamples: the errors of JSON have an example for every field, which is right where it stands.
func TestJSONExamples(t *testing.T) {
	found := map[string]bool{"max_total": true} // of the app
	exampleFields(reflect.TypeFor[conditionalcache.Handler](), "", "%s", func(path, around string) {
		found[path] = true
		example := config.Examples[path]
		if example == "" {
			t.Errorf("%s has no example", path)
			return
		}
		member := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf(around, example), "{"), "}")
		if err := new(conditionalcache.Handler).UnmarshalJSON([]byte("{" + member + "}")); err != nil {
			t.Errorf("%s: %v", member, err)
		}
	})
	for path := range config.Examples {
		if !found[path] {
			t.Errorf("there is no field %s", path)
		}
	}
}

// exampleFields calls each with the path of every field that has a name in JSON, and with what is around its value.
func exampleFields(of reflect.Type, path, around string, each func(path, around string)) {
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "store" {
			continue // a store has its own
		}
		place, value := strings.TrimPrefix(path+"."+name, "."), fmt.Sprintf(around, fmt.Sprintf(`{"%s": %%s}`, name))
		each(place, value)
		switch kind := field.Type; {
		case kind.Kind() == reflect.Pointer:
			exampleFields(kind.Elem(), place, value, each)
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct:
			exampleFields(kind.Elem(), place, fmt.Sprintf(value, "[%s]"), each)
		}
	}
}
