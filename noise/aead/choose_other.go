//go:build !amd64

package aead

func vectors() []*vector { return nil }
