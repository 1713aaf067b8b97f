package aead

// The assembly has no stack of its own to speak of, leaves no secret in a register, and is not preempted: a goroutine's registers are
// saved to its stack only where Go code runs. Addresses and branches depend on lengths and verdicts alone.

// chacha512 XORs each of n spans with its key stream, 16 blocks at a time. It keeps blocks in words, which are zero when it returns.
//
//go:noescape
func chacha512(key *[KeySize]byte, spans *span, n int, words *[16][16]uint32)

// lanes512 computes the tags of eight messages. It keeps powers, which are zero when it returns.
//
//go:noescape
func lanes512(keys *oneTimeKey, l *lanes, powers *powers)

// single512 computes the tag of one message: n bytes, zeroes up to a whole block, and the block last.
//
//go:noescape
func single512(key *oneTimeKey, text *byte, n int, last, tag *[2]uint64)

// chacha256 XORs each of n spans, which are whole blocks, with its key stream, 8 blocks at a time.
//
//go:noescape
func chacha256(key *[KeySize]byte, spans *span, n int)

// single256 computes the tag of one message: n bytes, zeroes up to a whole block, and the block last. It keeps powers, which are zero
// when it returns.
//
//go:noescape
func single256(key *oneTimeKey, powers *powers, text *byte, n int, last, tag *[2]uint64)
