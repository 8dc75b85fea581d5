// Package jsondoc writes docs/json.md, the page on the JSON of this module, from the Go types that have it: names, types
// and tags from their fields, and what they mean, allow and default to from the doc comments. Its test fails where the
// page is not what the types say; `go test ./internal/config/jsondoc -update` writes it.
//
// A doc comment is read as these parts: its first sentence; "Default: …", up to the next sentence; and words
// that are allowed, each as `word`: and what it does.
package jsondoc

import (
	"bytes"
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"text/template"
)

// Type is a Go type whose fields are members of a JSON object.
type Type struct {
	// File, from the root of the repository, and Name in it.
	File, Name string
	// Title is the heading of the page, and what other objects call this one.
	Title string
	// Word is where its options stand in a Caddyfile; empty: in the directive's block.
	Word string
	// Words are those of the Caddyfile by the JSON name, where they are not Word and the name.
	Words map[string]string
}

// Member is one member of an object.
type Member struct {
	Name, Type, Default, Text, Caddyfile string
	// Choice are the words that it may be; nil: any.
	Choice []string
}

const none = "no word for it"

// Types are all of them, in the order of the page.
var Types = []Type{
	{File: "module.go", Name: "Handler", Title: "Handler", Words: map[string]string{
		"off": "`conditional_cache off`", "expires_modified": "`expires modified <duration>`",
		"response_matchers": "`@<name>`", "block": none,
	}},
	{File: "module.go", Name: "ETag", Title: "etag", Word: "etag", Words: map[string]string{
		"mode": "`etag <mode>`", "ignore_expressions": "`etag` › `ignore`, in quotes",
	}},
	{File: "module.go", Name: "EncodeOnce", Title: "encode_once", Word: "encode_once", Words: map[string]string{
		"encodings": "`encode_once <format...>`, `encode_once` › `<format>`", "prefer": "`encode_once <format...>`, in their order",
	}},
	{File: "module.go", Name: "LastModified", Title: "last_modified", Word: "last_modified", Words: map[string]string{
		"mode": "`last_modified <mode>`",
	}},
	{File: "module.go", Name: "LastModifiedSource", Title: "last_modified: from", Word: "last_modified", Words: map[string]string{
		"header": "`from header <field>`", "json": "`from json <path>`", "file": "`from file <path...>`",
		"first_seen": "`from first_seen`", "layout": "`from header <field> <layout>`, `from json <path> <layout>`",
	}},
	{File: "module.go", Name: "CacheControl", Title: "cache_control", Word: "cache_control", Words: map[string]string{
		"path": "`cache_control /<path>...`", "media_type": "`cache_control <type>/<subtype>...`", "off": "`cache_control <selector> off`",
		"response_matcher": "`cache_control @<name>`", "directives": "`cache_control <directive...>`",
	}},
	{File: "module.go", Name: "Buffer", Title: "buffer", Word: "buffer"},
	{File: "module.go", Name: "Ranges", Title: "ranges", Word: "ranges", Words: map[string]string{"mode": "`ranges <mode>`"}},
	{File: "module.go", Name: "GuardWrites", Title: "guard_writes", Word: "guard_writes", Words: map[string]string{
		"methods": "`guard_writes <method...>`",
	}},
	{File: "module.go", Name: "Remember", Title: "remember", Word: "remember", Words: map[string]string{"ttl": "`remember <ttl>`"}},
	{File: "module.go", Name: "NotModified", Title: "not_modified", Word: "not_modified"},
	{File: "module.go", Name: "App", Title: "App", Word: "conditional_cache"},
	{File: "validators/memory/memory.go", Name: "Store", Title: "store: memory", Word: "store memory"},
	{File: "validators/redis/redis.go", Name: "Redis", Title: "store: redis", Word: "store redis"},
	{File: "validators/redis/redis.go", Name: "TLS", Title: "store: redis: tls", Word: "tls", Words: map[string]string{
		"client_certificate": "`tls` › `client <certificate> <key>`", "client_key": "`tls` › `client <certificate> <key>`",
	}},
}

//go:embed json.md.tmpl
var page string

// Page is what docs/json.md has to be. root is the folder of the repository.
func Page(root string) ([]byte, error) {
	parsed, err := template.New("").Funcs(template.FuncMap{"table": func(title string) (string, error) { return table(root, title) }}).Parse(page)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = parsed.Execute(&b, nil)
	return b.Bytes(), err
}

// table writes the members of the type with a title.
func table(root, title string) (string, error) {
	for _, t := range Types {
		if t.Title != title {
			continue
		}
		members, err := t.Members(root)
		if err != nil {
			return "", err
		}
		var b strings.Builder
		b.WriteString("| member | type | default | what it is | in a Caddyfile |\n|---|---|---|---|---|\n")
		for _, m := range members {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.typeAndWords(), m.Default, m.Text, m.Caddyfile)
		}
		return b.String(), nil
	}
	return "", fmt.Errorf("no type is called %q", title)
}

func (m Member) typeAndWords() string {
	if m.Choice == nil {
		return m.Type
	}
	return m.Type + ": `" + strings.Join(m.Choice, "`, `") + "`"
}

// Members reads the fields of a type that are in its JSON.
func (t Type) Members(root string) ([]Member, error) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, t.File), nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var fields *ast.StructType
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, is := n.(*ast.TypeSpec); is && spec.Name.Name == t.Name {
			fields, _ = spec.Type.(*ast.StructType)
		}
		return fields == nil
	})
	if fields == nil {
		return nil, fmt.Errorf("%s has no struct %s", t.File, t.Name)
	}
	var members []Member
	for _, field := range fields.Fields.List {
		name := jsonName(field)
		if name == "" {
			continue
		}
		m, err := t.member(name, field)
		if err != nil {
			return nil, fmt.Errorf("%s: %s.%s: %w", t.File, t.Name, field.Names[0].Name, err)
		}
		members = append(members, m)
	}
	return members, nil
}

// jsonName is the field's name in JSON; empty: it has none.
func jsonName(field *ast.Field) string {
	if field.Tag == nil {
		return ""
	}
	tag, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		return ""
	}
	name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
	return strings.TrimPrefix(name, "-")
}

var (
	defaultPart = regexp.MustCompile(` Default: (.*?)\.( Refused:| [A-Z]|$)`)
	choiceWord  = regexp.MustCompile("[.] `([a-z0-9_]+)`:")
)

func (t Type) member(name string, field *ast.Field) (Member, error) {
	text := strings.Join(strings.Fields(field.Doc.Text()), " ")
	if text == "" {
		return Member{}, fmt.Errorf("no doc comment")
	}
	kind, err := typeName(name, field.Type)
	if err != nil {
		return Member{}, err
	}
	m := Member{Name: name, Type: kind, Text: firstSentence(text), Caddyfile: t.Words[name]}
	if found := defaultPart.FindStringSubmatch(" " + text); found != nil {
		m.Default = found[1]
	}
	for _, found := range choiceWord.FindAllStringSubmatch(text, -1) {
		m.Choice = append(m.Choice, found[1])
	}
	switch {
	case m.Caddyfile != "":
	case t.Word == "":
		m.Caddyfile = "`" + name + "`"
	default:
		m.Caddyfile = "`" + t.Word + "` › `" + name + "`"
	}
	return m, nil
}

// firstSentence ends before a space and a capital letter, or a word in backquotes.
func firstSentence(text string) string {
	if end := regexp.MustCompile("[.] [A-Z`]").FindStringIndex(text); end != nil {
		return text[:end[0]]
	}
	return strings.TrimSuffix(text, ".")
}

// typeName says of what type a member is in JSON; objects link to their part of the page.
func typeName(name string, expression ast.Expr) (string, error) {
	switch e := expression.(type) {
	case *ast.Ident:
		switch e.Name {
		case "string":
			return "text", nil
		case "bool":
			return "true or false", nil
		case "int", "int64", "float64":
			return "number", nil
		case "OneOrMore":
			return "text, or list of texts", nil
		case "Delay":
			return "duration, or `off`", nil
		}
		return objectName(e.Name)
	case *ast.StarExpr:
		return typeName(name, e.X)
	case *ast.ArrayType:
		of, err := typeName(name, e.Elt)
		return "list of " + strings.TrimSuffix(of, "text") + map[bool]string{true: "texts"}[of == "text"], err
	case *ast.MapType:
		return "object of [response matchers](https://caddyserver.com/docs/caddyfile/response-matchers)", nil
	case *ast.SelectorExpr:
		switch e.Sel.Name {
		case "ModuleMap":
			return "object of [encoders](https://caddyserver.com/docs/caddyfile/directives/encode)", nil
		case "ResponseMatcher":
			return "[response matcher](https://caddyserver.com/docs/caddyfile/response-matchers)", nil
		case "Duration":
			return "duration", nil
		case "RawMessage":
			return "object with a `name`: [memory](#store-memory), [redis](#store-redis)", nil
		}
	}
	return "", fmt.Errorf("the type of %q is not known here", name)
}

func objectName(goName string) (string, error) {
	for _, t := range Types {
		if t.Name == goName {
			slug := strings.ReplaceAll(strings.ReplaceAll(t.Title, ":", ""), " ", "-")
			return "[" + t.Title + "](#" + slug + ")", nil
		}
	}
	return "", fmt.Errorf("the type %s is not in Types", goName)
}

// Grammar is the text of the files that tell the grammar of Caddyfiles in a doc comment.
func Grammar(root string) (string, error) {
	var all strings.Builder
	for _, name := range []string{"caddyfile.go", "validators/memory/memory.go", "validators/redis/caddyfile.go"} {
		text, err := os.ReadFile(filepath.Join(root, name)) //nolint:gosec // of this repository
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(text)) {
			if comment, is := strings.CutPrefix(line, "//"); is {
				all.WriteString(comment)
			}
		}
	}
	return all.String(), nil
}
