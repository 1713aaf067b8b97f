package keeper

import (
	"net/netip"
	"time"
)

// State is what a keeper says of itself and its link.
type State struct {
	Name    string    `json:"name"`
	File    string    `json:"file"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"` // this program; a restart in place has another
	Phase   Phase     `json:"phase"`
	Adopted bool      `json:"adopted,omitempty"` // what is in force is from a keeper before this one, whatever the file says
	Port    uint16    `json:"port,omitempty"`
	Mark    uint32    `json:"mark,omitempty"`
	Engine  int       `json:"engine,omitempty"`   // its process id, 0 while there is none
	Engines int       `json:"engines"`            // how many this keeper has started
	Unknown []string  `json:"unknown,omitempty"`  // endpoint names that don't resolve, and why
	GivenUp []string  `json:"given_up,omitempty"` // what is put back no more, and who removes it
	Confirm time.Time `json:"confirm,omitzero"`   // when a reload is taken back unless it is kept
}

// Phase is where a keeper's life has got to.
type Phase string

// The phases, in order.
const (
	Starting Phase = "starting"
	Running  Phase = "up"
	Stopping Phase = "stopping"
)

// ReloadRequest asks for what the file says now.
type ReloadRequest struct {
	DryRun  bool          `json:"dry_run,omitempty"`
	Force   bool          `json:"force,omitempty"`
	Confirm time.Duration `json:"confirm,omitempty"` // nanoseconds; 0: it stays
	Text    []byte        `json:"text,omitempty"`    // instead of the file's

	Sessions []netip.Addr `json:"sessions,omitempty"` // the other ends of SSH sessions; the client's to fill
}

// WaitRequest asks to wait for the peers.
type WaitRequest struct {
	Timeout time.Duration `json:"timeout"` // nanoseconds; 0: as long as the client stays
}

// The paths of the control socket.
const (
	pathState   = "/v1/state"
	pathLog     = "/v1/log"
	pathDown    = "/v1/down"
	pathReload  = "/v1/reload"
	pathKeep    = "/v1/keep"
	pathRestart = "/v1/restart"
	pathWait    = "/v1/wait"
)
