package place

import (
	"crypto/sha256"
	"reflect"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// walk goes through the routes of a server.
type walk struct {
	kind   Kind
	spots  map[caddyhttp.MiddlewareHandler]*spot
	way    []step  // to where it is
	frames []frame // what comes after that
	seen   map[visit]bool
	holds  map[reflect.Type]bool // see mayHold
}

// step is one step of the way down: matchers, or something that has routes inside.
type step struct {
	name     string
	matchers caddyhttp.MatcherSets
	around   reflect.Value // a struct, whose other fields count; the zero Value: none
}

// errorRoutes is the name of the step to where Caddy goes with an error.
const errorRoutes = "errors"

// frame is what comes after a handler of a route.
type frame struct {
	handlers []caddyhttp.MiddlewareHandler // in that route
	route    *caddyhttp.Route
	routes   caddyhttp.RouteList // after it
}

// visit is one value met by its address, which the first field of a struct has in common with it.
type visit struct {
	of reflect.Type
	at uintptr
}

func newWalk(kind Kind) *walk {
	return &walk{
		kind: kind, spots: make(map[caddyhttp.MiddlewareHandler]*spot), seen: make(map[visit]bool), holds: make(map[reflect.Type]bool),
	}
}

// server goes through all that a server may call. Its error routes have a way of their own: what stands there is not
// what stands in the routes, were the matchers the same.
func (w *walk) server(s *caddyhttp.Server) {
	listen := slices.Sorted(slices.Values(s.Listen))
	for _, address := range slices.Compact(listen) {
		w.way = append(w.way, step{name: "listen " + address})
	}
	w.routes(s.Routes)
	if s.Errors != nil {
		w.within(step{name: errorRoutes}, func() { w.routes(s.Errors.Routes) })
	}
	for _, name := range sortedKeys(s.NamedRoutes) {
		if route := s.NamedRoutes[name]; route != nil {
			w.within(step{name: "named " + name}, func() { w.routes(caddyhttp.RouteList{*route}) })
		}
	}
}

func (w *walk) within(s step, do func()) {
	w.way = append(w.way, s)
	do()
	w.way = w.way[:len(w.way)-1]
}

// routes goes through a list. A route without matchers is no step: to put something into `route { }` changes no place.
func (w *walk) routes(list caddyhttp.RouteList) {
	for i := range list {
		route := &list[i]
		if len(route.MatcherSets) == 0 {
			w.handlers(route, list[i+1:])
			continue
		}
		w.within(step{matchers: route.MatcherSets}, func() { w.handlers(route, list[i+1:]) })
	}
}

func (w *walk) handlers(route *caddyhttp.Route, after caddyhttp.RouteList) {
	for i, h := range route.Handlers {
		w.frames = append(w.frames, frame{handlers: route.Handlers[i+1:], route: route, routes: after})
		w.handler(h)
		w.frames = w.frames[:len(w.frames)-1]
	}
}

func (w *walk) handler(h caddyhttp.MiddlewareHandler) {
	if settings, ok := w.kind(h); ok {
		w.meet(h, settings)
		return
	}
	v := reflect.ValueOf(h)
	if v.Kind() == reflect.Pointer {
		if !w.first(v) {
			return
		}
		v = v.Elem()
	}
	sub, ok := h.(*caddyhttp.Subroute)
	switch {
	case !ok && v.Kind() == reflect.Struct:
		w.insideStruct(v)
	case ok:
		w.routes(sub.Routes)
		if sub.Errors != nil {
			w.within(step{name: errorRoutes}, func() { w.routes(sub.Errors.Routes) })
		}
	}
}

// first reports whether a pointer is met for the first time.
func (w *walk) first(pointer reflect.Value) bool {
	v := visit{pointer.Type(), pointer.Pointer()}
	if pointer.IsNil() || w.seen[v] {
		return false
	}
	w.seen[v] = true
	return true
}

// meet notes the way to a handler.
func (w *walk) meet(h caddyhttp.MiddlewareHandler, settings Digest) {
	s := w.spots[h]
	if s == nil {
		s = &spot{settings: settings, behind: slices.Clone(w.frames)}
		w.spots[h] = s
	}
	d := describer{kind: w.kind}
	s.ofErrors = s.ofErrors || slices.ContainsFunc(w.way, func(s step) bool { return s.name == errorRoutes })
	var steps []Digest
	for _, step := range w.way {
		steps = append(steps, w.describe(&d, step))
	}
	s.opaque = s.opaque || d.opaque
	s.ways = sorted(append(s.ways, digestOf(steps)))
}

func (w *walk) describe(d *describer, s step) Digest {
	b := text(nil, s.name)
	if s.matchers != nil {
		b = d.modules(b, reflect.ValueOf(s.matchers))
	}
	if s.around.IsValid() {
		around := describer{kind: w.kind} // what it has of modules is no matcher, and may be hidden
		b = around.fields(b, s.around, func(t reflect.Type) bool { return !w.mayHold(t) })
	}
	return sha256.Sum256(b)
}

// behind is what a request comes to after a handler, up to the end of the first terminal route, or to a rival.
func (w *walk) behind(frames []frame, rival func(caddyhttp.MiddlewareHandler) bool) (t tail) {
	d := describer{kind: w.kind, rival: rival}
	for _, f := range slices.Backward(frames) {
		for i := range f.handlers {
			said := d.value(t.said, reflect.ValueOf(&f.handlers[i]).Elem())
			if d.met {
				return tail{said: t.said, cut: true}
			}
			t.said = said
		}
		if f.route.Terminal {
			return t
		}
		for i := range f.routes {
			if group := f.routes[i].Group; group != "" && group == f.route.Group {
				continue // of a group the first that matches is all
			}
			said := d.route(t.said, &f.routes[i])
			if d.met {
				return tail{said: t.said, cut: true}
			}
			t.said = said
		}
	}
	return t
}

// inside goes into a value that may have routes or handlers in its exported fields, whoever made its type.
func (w *walk) inside(v reflect.Value) {
	if h, ok := asHandler(v); ok {
		w.handler(h)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if w.first(v) {
			w.inside(v.Elem())
		}
	case reflect.Struct:
		w.insideStruct(v)
	case reflect.Slice, reflect.Array:
		if list, ok := reflect.TypeAssert[caddyhttp.RouteList](v); ok {
			w.routes(list)
			return
		}
		for i := range v.Len() {
			w.inside(v.Index(i))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			var d describer
			w.within(step{name: string(d.value(nil, it.Key()))}, func() { w.inside(it.Value()) })
		}
	default:
	}
}

// asHandler is the handler that a value is, or that it is the place of.
func asHandler(v reflect.Value) (h caddyhttp.MiddlewareHandler, ok bool) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			h, ok = reflect.TypeAssert[caddyhttp.MiddlewareHandler](v)
		}
	case reflect.Struct:
		if v.CanAddr() {
			h, ok = reflect.TypeAssert[caddyhttp.MiddlewareHandler](v.Addr())
		}
	default:
	}
	return h, ok
}

// insideStruct takes the names of the fields, and what the struct says beside them, for a part of the way: it may say
// when the routes in it are for.
func (w *walk) insideStruct(v reflect.Value) {
	if v.Type() == routeType {
		w.routes(caddyhttp.RouteList{v.Interface().(caddyhttp.Route)})
		return
	}
	for field, value := range v.Fields() {
		if !field.IsExported() || !w.mayHold(field.Type) {
			continue
		}
		w.within(step{name: field.Name, around: v}, func() { w.inside(value) })
	}
}

var (
	routeType   = reflect.TypeFor[caddyhttp.Route]()
	handlerType = reflect.TypeFor[caddyhttp.MiddlewareHandler]()
)

// mayHold reports whether there may be routes or handlers in a value of a type. Nothing else is gone into: what handlers
// have at work, such as connections, changes while it is looked at.
func (w *walk) mayHold(t reflect.Type) bool {
	if known, ok := w.holds[t]; ok {
		return known
	}
	found := holds(t, make(map[reflect.Type]bool))
	w.holds[t] = found
	return found
}

// holds does without what it has found on the way: in a circle that is not all there is to say.
func holds(t reflect.Type, met map[reflect.Type]bool) bool {
	if t == routeType {
		return true
	}
	if met[t] {
		return false
	}
	met[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return t.Implements(handlerType)
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return holds(t.Elem(), met)
	case reflect.Struct:
		if reflect.PointerTo(t).Implements(handlerType) {
			return true
		}
		for field := range t.Fields() {
			if field.IsExported() && holds(field.Type, met) {
				return true
			}
		}
	default:
	}
	return false
}
