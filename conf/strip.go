package conf

import "bytes"

// Strip returns what `wg setconf` takes of a file of wg-quick: all of it but
// wg-quick's own settings, byte for byte as `wg-quick strip` prints it. Comments,
// and with them directives, are part of it, and so are keys: the result is the
// caller's to erase, as the text is. The name is for errors.
func Strip(name string, text []byte) ([]byte, []Warning, error) {
	c, warnings, err := Parse(name, text, WGQuick)
	if err != nil {
		return nil, warnings, err
	}
	c.Erase()
	stripped := make([]byte, 0, len(text)+2)
	in := nowhere
	for l := range scan(bytes.TrimPrefix(text, utf8Mark)) {
		if l.kind == section {
			in = sectionOf(l)
		}
		if l.kind == setting && in == inInterface {
			if f, _ := lookup(interfaceSettings, l.name); f.quick {
				continue
			}
		}
		stripped = append(stripped, bytes.Trim(l.text, " \t\n")...)
		stripped = append(stripped, '\n')
	}
	return append(stripped, '\n'), warnings, nil
}
