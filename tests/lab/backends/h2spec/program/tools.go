//go:build tools

// Package h2spec only says which programs go.mod is about.
package h2spec

import _ "github.com/summerwind/h2spec/cmd/h2specd"
