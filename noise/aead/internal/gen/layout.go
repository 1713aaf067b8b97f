package main

// The layouts of the structs in kernel_amd64.go. A test there holds the offsets against these numbers.
const (
	spanText  = 0
	spanLen   = 8
	spanNonce = 16
	spanBlock = 24
	spanFirst = 28
	spanSize  = 32

	lanesText  = 0
	lanesLen   = 64
	lanesSkip  = 128
	lanesLast  = 192 // the low words, then the high words
	lanesTag   = 320 // likewise
	lanesQuads = 448
	lanesFull  = 456

	workStates   = 2048 // behind words and blocks
	workCounters = 2176
	workNonces   = 2752
	workTexts    = 3328
	workMasks    = 4608
	workLanes    = 128

	keySize  = 64 // a whole block, of which the first half is the one-time key
	hashSize = 24
)
