// Package exchange is one request and its response.
package exchange
