// Package webtest holds the tests of `vpn web`, driven by Chromium. It has no code of its own to import.
package webtest
