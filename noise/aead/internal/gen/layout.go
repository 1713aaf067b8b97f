package main

// The layouts of the structs in kernel_amd64.go. A test there holds the offsets against these numbers.
const (
	messageText  = 0
	messageLen   = 8
	messageNonce = 16
	messageKey   = 24
	messageBlock = 32
	messageFirst = 36
	messageLast  = 40
	messageSize  = 64

	spanText  = 0
	spanLen   = 8
	spanNonce = 16
	spanBlock = 24
	spanFirst = 28
	spanSize  = 32

	sectionText  = 0
	sectionQuads = 8
	sectionFrom  = 16
	sectionKey   = 24
	sectionHash  = 32
	sectionSize  = 40

	sealedCounter = 24
	sealedSize    = 40

	workStates   = 2048 // behind words and blocks
	workColumn   = 2176
	workShared   = 2432
	workSecret   = 2496 // bytes from the beginning
	workCounters = 2496
	workNonces   = 3072
	workTexts    = 3648
	workMasks    = 4928
	workLanes    = 128

	keySize  = 64 // a whole block, of which the first half is the one-time key
	hashSize = 24
)
