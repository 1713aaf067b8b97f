package cli

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is the program, too: under its own name, and under another,
// which makes it "vpn device".
var programs = map[string]func(){
	programName:  func() { os.Exit(Main()) },
	"vpn-device": func() { os.Exit(Main()) },
}

func TestMain(m *testing.M) {
	if _, isProgram := programs[calledAs(os.Args[0])]; !isProgram {
		isolate()
	}
	testscript.Main(m, programs)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
