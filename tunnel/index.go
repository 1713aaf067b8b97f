package tunnel

import (
	"encoding/binary"
	"io"
	"sync"

	"vpn/rekey"
)

// indexTable maps the receiver indices that we gave out to what they stand for: a handshake in progress or a session.
// It may be used concurrently; data messages look it up once per run.
type indexTable struct {
	rand io.Reader

	mu      sync.RWMutex
	entries map[uint32]indexEntry
}

// indexEntry stands for a handshake that the peer has to answer while keypair is nil, else for a session.
type indexEntry struct {
	peer    *Peer
	keypair *rekey.Keypair
}

// reserve gives out a random index that is not in use.
func (x *indexTable) reserve(p *Peer) (uint32, error) {
	for {
		var b [4]byte
		if _, err := io.ReadFull(x.rand, b[:]); err != nil {
			return 0, err
		}
		i := binary.LittleEndian.Uint32(b[:])
		x.mu.Lock()
		_, taken := x.entries[i]
		if !taken {
			x.entries[i] = indexEntry{peer: p}
		}
		x.mu.Unlock()
		if !taken {
			return i, nil
		}
	}
}

// bind makes a reserved index stand for a session.
func (x *indexTable) bind(i uint32, p *Peer, k *rekey.Keypair) {
	x.mu.Lock()
	x.entries[i] = indexEntry{peer: p, keypair: k}
	x.mu.Unlock()
}

func (x *indexTable) lookup(i uint32) (indexEntry, bool) {
	x.mu.RLock()
	e, ok := x.entries[i]
	x.mu.RUnlock()
	return e, ok
}

func (x *indexTable) release(i uint32) {
	x.mu.Lock()
	delete(x.entries, i)
	x.mu.Unlock()
}

func (x *indexTable) len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.entries)
}
