package offload

import "math/rand/v2"

// stream makes random batches that often coalesce.
type stream struct {
	r     *rand.Rand
	flows []spec
	size  []int
}

func newStream(r *rand.Rand, flows int) *stream {
	s := &stream{r: r}
	for i := range flows {
		f := randomSpec(r)
		f.host = byte(i)
		s.flows = append(s.flows, f)
		s.size = append(s.size, 1+r.IntN(1400))
	}
	return s
}

func (s *stream) next() spec {
	r := s.r
	at := r.IntN(len(s.flows))
	f := &s.flows[at]
	p := *f
	n := s.size[at]
	switch r.IntN(12) {
	case 0:
		n = r.IntN(n + 1)
	case 1:
		n += r.IntN(3)
	}
	p.payload = randomBytes(r, n)
	f.seq += uint32(n)
	if !(p.df && at%3 == 0) {
		f.id++
	}
	if r.IntN(10) == 0 {
		p.flags |= 0x08
	}
	if r.IntN(4) == 0 {
		s.spoil(&p, f)
	}
	return p
}

// spoil changes one thing about p, sometimes for the rest of its flow f too.
func (s *stream) spoil(p, f *spec) {
	r := s.r
	switch r.IntN(22) {
	case 0:
		p.tos++
	case 1:
		p.ttl++
	case 2:
		p.df = !p.df
	case 3:
		p.mf = !p.v6
	case 4:
		if !p.v6 {
			p.offset = 1 + uint16(r.IntN(0x1fff))
		}
	case 5:
		p.id += uint16(r.IntN(3))
	case 6:
		if !p.v6 {
			p.ipOptions = randomBytes(r, 4)
		}
	case 7:
		if p.v6 {
			p.extension = make([]byte, 8)
		}
	case 8:
		p.seq += uint32(r.IntN(5)) - 2
	case 9:
		p.ack++
		f.ack = p.ack
	case 10:
		p.flags ^= 1 << r.IntN(8)
	case 11:
		p.window++
	case 12:
		p.urg++
	case 13:
		if p.protocol == 6 {
			p.options = randomBytes(r, 4*r.IntN(11))
			f.options = p.options
		}
	case 14:
		p.noChecksum = true
	case 15, 16:
		p.damaged = !p.noChecksum
	case 17:
		p.damagedHeader = true
	case 18:
		p.protocol = 1
	case 19:
		if p.v6 {
			p.label ^= 1
		}
	case 20:
		p.flags ^= 0x40
		f.flags = p.flags &^ 0x08
	case 21:
		f.seq, f.id = r.Uint32(), uint16(r.Uint32())
	}
}
