//go:build !nodemo

package main

import _ "github.com/conditionalcache/caddy-conditional-cache/cmd/caddy/demo"
