package web

import "time"

// series is what passed in each step of the last hour, in both directions. Its zero value with a step is empty.
type series struct {
	step   time.Duration
	rx, tx []float32 // bytes, a ring by the number of the step; nil until something passed
	from   time.Time // when counting began
	last   time.Time // until when it has come
}

func (s *series) size() int64 { return int64(hour / s.step) }

// number is that of the step a time lies in.
func (s *series) number(t time.Time) int64 { return t.UnixNano() / int64(s.step) }

// add spreads what passed between the last time and now evenly over the steps between. The first time it begins to count. A clock that went
// back begins anew.
func (s *series) add(now time.Time, rx, tx uint64) {
	before := s.last
	s.last = now
	if before.IsZero() || now.Before(before) {
		s.from, s.rx, s.tx = now, nil, nil
		return
	}
	if s.rx == nil {
		if rx == 0 && tx == 0 {
			return
		}
		s.rx, s.tx = make([]float32, s.size()), make([]float32, s.size())
	}
	first, end := s.number(before), s.number(now)
	for n := max(first+1, end-s.size()+1); n <= end; n++ {
		s.rx[n%s.size()], s.tx[n%s.size()] = 0, 0
	}
	span := now.Sub(before)
	if span <= 0 {
		s.rx[end%s.size()] += float32(rx)
		s.tx[end%s.size()] += float32(tx)
		return
	}
	for n := max(first, end-s.size()+1); n <= end; n++ {
		begin, over := time.Unix(0, n*int64(s.step)), time.Unix(0, (n+1)*int64(s.step))
		if begin.Before(before) {
			begin = before
		}
		if over.After(now) {
			over = now
		}
		part := over.Sub(begin).Seconds() / span.Seconds()
		s.rx[n%s.size()] += float32(part * float64(rx))
		s.tx[n%s.size()] += float32(part * float64(tx))
	}
}

// Plot is a series as the page draws it.
type Plot struct {
	From  time.Time `json:"from"`  // when counting began
	Begin time.Time `json:"begin"` // of the first step
	Ends  time.Time `json:"ends"`  // until when the last step has come
	Step  float64   `json:"step"`  // seconds
	Rx    []float32 `json:"rx"`    // bytes a second, oldest first
	Tx    []float32 `json:"tx"`
}

// tellable is how much of a step has to be known for its rate to mean something.
const tellable = time.Second

// plot returns the steps of which enough is known; nil if nothing was counted.
func (s *series) plot() *Plot {
	if s.last.IsZero() {
		return nil
	}
	end := s.number(s.last)
	first := max(s.number(s.from), end-s.size()+1)
	p := &Plot{From: s.from, Begin: time.Unix(0, first*int64(s.step)), Ends: s.last, Step: s.step.Seconds(), Rx: []float32{}, Tx: []float32{}}
	for n := first; n <= end; n++ {
		begin, over := time.Unix(0, n*int64(s.step)), time.Unix(0, (n+1)*int64(s.step))
		if begin.Before(s.from) {
			begin = s.from
		}
		if over.After(s.last) {
			over = s.last
		}
		covered := over.Sub(begin)
		if n == end && covered < tellable {
			break
		}
		var rx, tx float32
		if seconds := float32(covered.Seconds()); s.rx != nil && seconds > 0 {
			rx, tx = s.rx[n%s.size()]/seconds, s.tx[n%s.size()]/seconds
		}
		p.Rx, p.Tx = append(p.Rx, rx), append(p.Tx, tx)
	}
	return p
}
