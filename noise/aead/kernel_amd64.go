package aead

// All of this leaves nothing secret in a register or on the stack. It is not preempted: the runtime stops a goroutine, and so saves its
// registers on its stack, only in Go code. Addresses and branches depend on lengths alone.

// chacha512 XORs the texts of n messages with their key stream, 16 blocks at a time, and makes their one-time keys if keys says so. All
// have the same first four bytes of the nonce and the same last four. What is secret of work is zero when it returns.
//
//go:noescape
func chacha512(key *[KeySize]byte, ms *message, n int, keys bool, work *work512)

// abreast512 does what chacha512 does, for 16 messages that have the same number of blocks, and all of them yet.
//
//go:noescape
func abreast512(key *[KeySize]byte, ms *message, keys bool, work *work512)

// keys512 makes the one-time keys of 16 n messages, which have the same last four bytes of the nonce.
//
//go:noescape
func keys512(key *[KeySize]byte, ms *Sealed, n int, keys *oneTimeKey, work *work512)

// apply512 XORs n bytes of key stream into a text, and zeroes the blocks that it had them from.
//
//go:noescape
func apply512(text, stream *byte, n int)

// lanes512 computes the tags of n messages, at most eight; there is room for eight. It is told the lengths of the shortest and of the
// longest. It keeps powers, which are zero when it returns but for what isn't secret.
//
//go:noescape
func lanes512(keys *oneTimeKey, ms *message, n, shortest, longest int, powers *powers, tags *[2]uint64)

// single512 computes the tag of one message: n bytes, at least 113, zeroes up to a whole block, and the block last. It keeps powers,
// which are zero when it returns but for what isn't secret.
//
//go:noescape
func single512(key *oneTimeKey, powers *powers, text *byte, n int, last, tag *[2]uint64)

// chacha256 XORs each of n spans, which are whole blocks, with its key stream, 8 blocks at a time. Meanwhile it hashes m sections, in
// their order and as far as it gets, and stores in them how far it got.
//
//go:noescape
func chacha256(key *[KeySize]byte, spans *span, n int, sections *section, m int)

// single256 computes the tag of one message: n bytes, zeroes up to a whole block, and the block last. hash is that of what comes before
// the text. single256 keeps powers, which are zero when it returns.
//
//go:noescape
func single256(key *oneTimeKey, powers *powers, hash *hash, text *byte, n int, last, tag *[2]uint64)

// apply256 XORs n bytes of key stream into a text, and zeroes the blocks that it had them from.
//
//go:noescape
func apply256(text, stream *byte, n int)
