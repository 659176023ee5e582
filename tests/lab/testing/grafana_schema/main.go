// Says where the dashboard in a file does not follow Grafana's schema.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	text, err := os.ReadFile(os.Args[1])
	var board dashboard.Dashboard
	if err == nil {
		err = board.UnmarshalJSONStrict(text)
	}
	// The library may return an error that holds none.
	if err == nil || err.Error() == "" {
		err = board.Validate()
	}
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
