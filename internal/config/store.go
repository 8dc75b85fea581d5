package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/conditionalcache/caddy-conditional-cache/validators"
)

// CheckStore refuses a store that is not there. None is the default.
func CheckStore(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var named struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(raw, &named); err != nil || named.Name == "" {
		return errors.New(`store has to be an object that has a name, such as {"name": "memory"}`)
	}
	return CheckStoreName(named.Name)
}

// CheckStoreName refuses the name of a store that is not built in.
func CheckStoreName(name string) error {
	if _, err := caddy.GetModule(validators.StoreNamespace + "." + name); err == nil {
		return nil
	}
	var built []string
	for _, module := range caddy.GetModules(validators.StoreNamespace) {
		built = append(built, module.ID.Name())
	}
	const redis = "github.com/conditionalcache/caddy-conditional-cache/validators/redis"
	if !slices.Contains(built, "redis") {
		instead := "write one of these, or nothing for memory; "
		if name == "redis" {
			instead = ""
		}
		return fmt.Errorf("no store %q is built in, only %s; %sredis comes with `xcaddy build --with %s` (see xcaddy.md)", name, strings.Join(built, ", "), instead, redis)
	}
	return fmt.Errorf("no store %q is built in, only %s; write one of these", name, strings.Join(built, ", "))
}

// LoadStore loads the guest module in the field StoreRaw of owner, a pointer to a struct.
func LoadStore(ctx caddy.Context, owner any) (validators.Store, error) {
	return asStore(ctx.LoadModule(owner, "StoreRaw"))
}

// DefaultStore loads the store that counts where none is named.
func DefaultStore(ctx caddy.Context) (validators.Store, error) {
	return asStore(ctx.LoadModuleByID(validators.StoreNamespace+".memory", nil))
}

func asStore(module any, err error) (validators.Store, error) {
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	store, is := module.(validators.Store)
	if !is {
		return nil, fmt.Errorf("store: a %T is not a validators.Store", module)
	}
	return store, nil
}
