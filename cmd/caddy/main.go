// Command caddy is Caddy with the conditional_cache module built in.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/conditionalcache/caddy-conditional-cache"
)

func main() {
	caddycmd.Main()
}
