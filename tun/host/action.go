package host

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Action is one thing that is done to the host: a small value without pointers to
// anything that lives, which can be kept as JSON.
type Action interface {
	// String returns the command that a person would have typed; empty where
	// there is nothing to say.
	String() string
}

// Step is an action and how it is taken back.
type Step struct {
	Do   Action
	Undo Action // at the end, or when a later step fails; nil: nothing to undo
	// Back is what a failure of a later step calls for instead of Undo, where Do
	// changes what was ours before.
	Back Action
	Ends int // the journal entry that this step makes void; 0: none
}

// Plan is a list of steps, in the order in which they are done.
type Plan struct {
	Steps    []Step
	Mark     uint32   // of the tunnel's own messages; 0: none
	MTU      int      // of the link, in bytes
	Warnings []string // for the user, each a line
}

// kinds are the actions by the name that they have in a journal.
var kinds = map[string]reflect.Type{}

// kindOf is the reverse.
var kindOf = map[reflect.Type]string{}

func init() {
	for name, a := range map[string]Action{
		"open-link": OpenLink{}, "delete-link": DeleteLink{}, "configure": Configure{}, "set-mark": SetMark{}, "hook": Hook{},
		"add-address": AddAddress{}, "delete-address": DeleteAddress{}, "set-link": SetLink{},
		"add-route": AddRoute{}, "delete-route": DeleteRoute{}, "add-rule": AddRule{}, "delete-rule": DeleteRule{},
		"restore-route": RestoreRoute{}, "restore-rule": RestoreRule{},
		"sysctl": Sysctl{}, "hold-sysctl": HoldSysctl{}, "release-sysctl": ReleaseSysctl{}, "claim-mark": ClaimMark{}, "release-mark": ReleaseMark{},
		"load-table": LoadTable{}, "delete-table": DeleteTable{}, "set-dns": SetDNS{}, "unset-dns": UnsetDNS{},
		"remove-file": RemoveFile{},
	} {
		kinds[name] = reflect.TypeOf(a)
		kindOf[reflect.TypeOf(a)] = name
	}
}

// Unknown is an action that a journal has and this version does not know. It
// can't be done.
type Unknown struct {
	Kind string
	Text json.RawMessage
}

func (u Unknown) String() string { return "" }

// encoded is an action in a journal: an object with one member, whose name is
// the action's kind.
type encoded struct{ Action }

func (e encoded) MarshalJSON() ([]byte, error) {
	if u, ok := e.Action.(Unknown); ok {
		return json.Marshal(map[string]json.RawMessage{u.Kind: u.Text})
	}
	kind, ok := kindOf[reflect.TypeOf(e.Action)]
	if !ok {
		return nil, fmt.Errorf("%T is no action that a journal can hold", e.Action)
	}
	text, err := json.Marshal(e.Action)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]json.RawMessage{kind: text})
}

func (e *encoded) UnmarshalJSON(text []byte) error {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return err
	}
	if len(parts) != 1 {
		return fmt.Errorf("an action with %d kinds", len(parts))
	}
	for kind, text := range parts {
		t, ok := kinds[kind]
		if !ok {
			e.Action = Unknown{kind, text}
			return nil
		}
		v := reflect.New(t)
		if err := json.Unmarshal(text, v.Interface()); err != nil {
			e.Action = Unknown{kind, text}
			return nil //nolint:nilerr // of another version, as an unknown kind is
		}
		e.Action = v.Elem().Interface().(Action)
	}
	return nil
}
