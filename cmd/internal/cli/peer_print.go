package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"vpn/cmd/internal/configfile"
)

// handOver is a peer's own file on its way to the peer. What goes to files is
// written before our own file is changed: a private key that can't be written is
// never taken for one.
type handOver struct {
	cmd   *cobra.Command
	text  []byte   // to be printed; nil: it is in a file
	code  *qr.Code // to be printed; nil: it is not
	files []string // that were written
}

func (o *addOptions) handOver(cmd *cobra.Command, a *addition, side []byte) (*handOver, error) {
	h := &handOver{cmd: cmd}
	printed := o.qr || o.out == "" && o.png == "" && a.side.Private != nil && isTerminal(cmd.OutOrStdout())
	if printed || o.png != "" {
		if a.side.Private == nil {
			return nil, hint(errors.New("the phone apps take no QR code without a private key"), "leave out --public-key, and a key is made")
		}
		code, err := qr.Encode(string(side), qr.L)
		if err != nil {
			return nil, fmt.Errorf("the peer's file as a QR code: %w", err)
		}
		if printed {
			h.code = code
		}
		if o.png != "" {
			if err := h.write(o.png, code.PNG()); err != nil {
				return nil, err
			}
		}
	}
	text := append([]byte(a.heading()), side...)
	if o.out == "" {
		h.text = text
		return h, nil
	}
	if err := h.write(o.out, text); err != nil {
		return nil, errors.Join(err, h.discard())
	}
	return h, nil
}

// heading is the comment at the top of a peer's file. Whatever the name is, it is
// no directive.
func (a *addition) heading() string {
	text := fmt.Sprintf("# The file of %s, a peer of %s.\n", a.name, a.Name)
	if a.side.Private == nil {
		text += fmt.Sprintf("# Its [Interface] needs a line with the PrivateKey that belongs to\n# %v\n", a.peer.PublicKey.Value)
	}
	return text
}

func (h *handOver) write(path string, content []byte) error {
	defer clear(content)
	if err := configfile.Create(path, content); err != nil {
		return err
	}
	h.files = append(h.files, path)
	return nil
}

// discard removes what was written.
func (h *handOver) discard() error {
	clear(h.text)
	var errs []error
	for _, path := range h.files {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}

// print prints what is to be printed. The code stands beside the file where that
// is for people; where it is for a program or another file, it stays out of it.
func (h *handOver) print() error {
	defer clear(h.text)
	for _, path := range h.files {
		fmt.Fprintf(h.cmd.ErrOrStderr(), "note: %s is written, and holds a key: keep it to whom it is for\n", path)
	}
	if h.text != nil {
		if err := writeAll(h.cmd, h.text); err != nil {
			return err
		}
	}
	if h.code == nil {
		return nil
	}
	to := h.cmd.OutOrStdout()
	if h.text != nil && !isTerminal(to) {
		to = h.cmd.ErrOrStderr()
	}
	var b bytes.Buffer
	defer func() { clear(b.Bytes()) }()
	drawCode(&b, h.code, isTerminal(to))
	_, err := to.Write(b.Bytes())
	return err
}

// drawCode draws a QR code with two modules, one above the other, in a character.
// Light is drawn, and dark is the terminal's own background, which is made black
// where colours are understood.
func drawCode(w io.Writer, code *qr.Code, colour bool) {
	const quiet = 4 // modules around the code that scanners want light
	begin, end := "", "\n"
	if colour {
		begin, end = "\x1b[38;5;231;48;5;16m", "\x1b[0m\n"
	}
	light := func(x, y int) bool { return y < code.Size+quiet && !code.Black(x, y) }
	for y := -quiet; y < code.Size+quiet; y += 2 {
		var row strings.Builder
		for x := -quiet; x < code.Size+quiet; x++ {
			switch up, down := light(x, y), light(x, y+1); {
			case up && down:
				row.WriteString("█")
			case up:
				row.WriteString("▀")
			case down:
				row.WriteString("▄")
			default:
				row.WriteString(" ")
			}
		}
		fmt.Fprint(w, begin, row.String(), end)
	}
}
