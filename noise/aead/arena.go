package aead

import (
	"fmt"
	"sync"

	"vpn/noise/erasing"
)

// chunkSize is how many bytes an arena asks for at a time.
const chunkSize = 64 << 10

// An Arena holds keys side by side in a few large chunks of memory, which its owner may have locked or kept out of core dumps.
// Chunks are never given back. All methods may be called concurrently.
type Arena struct {
	alloc  func(size int) ([]byte, error)
	vector *vector // for new keys

	mu     sync.Mutex
	unused []byte           // rest of the newest chunk; guarded by mu
	freed  []*[KeySize]byte // zeroed slots of erased keys; guarded by mu
	live   int              // guarded by mu
}

// NewArena returns an arena that gets its chunks from alloc, or from the heap if alloc is nil. alloc returns size zeroed bytes
// that stay valid for as long as the arena or one of its keys is in use. It is never called twice at once.
func NewArena(alloc func(size int) ([]byte, error)) *Arena {
	if alloc == nil {
		alloc = func(size int) ([]byte, error) { return make([]byte, size), nil }
	}
	return &Arena{alloc: alloc, vector: chosen}
}

// NewKey copies secret into a free slot. The caller erases its own copy. It fails when alloc does (the error wraps alloc's),
// or where the process may use no ChaCha20-Poly1305 (Go's FIPS 140-only mode); a later call may succeed.
func (a *Arena) NewKey(secret *[KeySize]byte) (*Key, error) {
	slot, err := a.take()
	if err != nil {
		return nil, fmt.Errorf("new session key: %w", err)
	}
	erasing.Do(func() { *slot = *secret })
	k := &Key{slot: slot, arena: a, vector: a.vector}
	if err = unavailable; err == nil && k.vector == nil {
		k.cipher, err = newCipher(slot)
	}
	if err != nil {
		a.free(slot)
		return nil, fmt.Errorf("new session key: %w", err)
	}
	return k, nil
}

// Live returns how many keys are not erased.
func (a *Arena) Live() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.live
}

func (a *Arena) take() (*[KeySize]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last := len(a.freed) - 1; last >= 0 {
		slot := a.freed[last]
		a.freed = a.freed[:last]
		a.live++
		return slot, nil
	}
	if len(a.unused) < KeySize {
		chunk, err := a.alloc(chunkSize)
		if err != nil {
			return nil, err
		}
		if len(chunk) < chunkSize {
			return nil, fmt.Errorf("%d bytes of memory were asked for, %d came", chunkSize, len(chunk))
		}
		a.unused = chunk
	}
	slot := (*[KeySize]byte)(a.unused)
	a.unused = a.unused[KeySize:]
	a.live++
	return slot, nil
}

func (a *Arena) free(slot *[KeySize]byte) {
	clear(slot[:])
	a.mu.Lock()
	defer a.mu.Unlock()
	a.freed = append(a.freed, slot)
	a.live--
}
