package aead

import (
	"fmt"
	"os"
	"strings"
)

// generic is the name of x/crypto's code.
const generic = "generic"

// selector is an environment variable that names the code to use, for tests: avx512, avx2 or generic. A name that this machine can't
// run is an error of whoever set it, and the program doesn't start.
const selector = "VPN_AEAD"

// chosen is looked for once: the fastest that the machine has the instructions for. It is nil for generic.
var chosen = mustChoose(os.Getenv(selector), vectors())

func mustChoose(name string, fastestFirst []*vector) *vector {
	v, err := choose(name, fastestFirst)
	if err != nil {
		panic(err)
	}
	return v
}

func choose(name string, fastestFirst []*vector) (*vector, error) {
	if name == "" && len(fastestFirst) > 0 {
		return fastestFirst[0], nil
	}
	if name == "" || name == generic {
		return nil, nil
	}
	var names []string
	for _, v := range fastestFirst {
		if v.name == name {
			return v, nil
		}
		names = append(names, v.name)
	}
	return nil, fmt.Errorf("aead: %s=%s: this machine has %s", selector, name, strings.Join(append(names, generic), ", "))
}
