// Command caddy is Caddy with the conditional_cache module and both of its stores built in, and with what Caddyfile.example
// demonstrates it on.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/conditionalcache/caddy-conditional-cache"
	_ "github.com/conditionalcache/caddy-conditional-cache/cmd/caddy/demo"
	_ "github.com/conditionalcache/caddy-conditional-cache/validators/redis"
)

func main() {
	caddycmd.Main()
}
