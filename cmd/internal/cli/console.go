package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"vpn/cmd/internal/keeper"
)

// console shows what a keeper does, as wg-quick does.
func console(w io.Writer) keeper.Show {
	var mu sync.Mutex // one line at a time
	return func(m keeper.Message) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case m.Step != "":
			fmt.Fprintf(w, "[#] %s\n", m.Step)
		case m.Output != "":
			fmt.Fprintln(w, m.Output)
		case m.Warning != "":
			fmt.Fprintf(w, "warning: %s\n", m.Warning)
		case m.Note != "":
			fmt.Fprintf(w, "note: %s\n", m.Note)
		}
	}
}

// messages writes what a keeper does for the process that has started it.
func messages(w io.Writer) keeper.Show {
	var mu sync.Mutex // one line at a time
	return func(m keeper.Message) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(w).Encode(m) // nobody may be waiting any more
	}
}
