//go:build !linux

package firewall

import "errors"

var errNotHere = errors.New("nftables is Linux's own")

// Delete takes tables away. It is no error if one isn't there.
func Delete(...Table) error { return errNotHere }

// Exists says whether there is such a table, whatever it holds.
func (t Table) Exists() (bool, error) { return false, errNotHere }

// List returns the tables whose names are ours, of all links.
func List() ([]Table, error) { return nil, errNotHere }

func load(Table, []chain) error { return errNotHere }

func intact(Table, []chain) (bool, error) { return false, errNotHere }
