package aead
import ("testing";"math/rand/v2";"bytes";"encoding/binary";"fmt")
func TestSmokeChacha(t *testing.T){
  r := rand.New(rand.NewPCG(1,2))
  for it := range 3000 {
    var key [32]byte; for i := range key { key[i]=byte(r.Uint32()) }
    n := r.IntN(20)+1
    spans := make([]span,n); bufs := make([][]byte,n); want := make([][]byte,n)
    for i := range spans {
      l := 1+r.IntN(300); if it%3==0 { l = 1+r.IntN(64)}; if it % 7==0 {l=64*(1+r.IntN(30))}
      b := make([]byte,l+64); for j:= range b { b[j]=byte(r.Uint32()) }
      off := r.IntN(32)
      bufs[i]=b
      spans[i]=span{&b[off], l, r.Uint64(), uint32(r.IntN(3)), r.Uint32()}
      iv := binary.LittleEndian.AppendUint32(nil, spans[i].first); iv = binary.LittleEndian.AppendUint64(iv, spans[i].nonce)
      w := bytes.Clone(b)
      o := bytes.Clone(b[off:off+l])
      for q := range o { if q%64==0 { blk := chachaBlock(key[:], iv, spans[i].block+uint32(q/64)); for j:=q;j<min(q+64,l);j++ { o[j]^=blk[j-q] } } }
      copy(w[off:], o); want[i]=w
    }
    chacha512(&key,&spans[0],n)
    for i := range bufs { if !bytes.Equal(bufs[i],want[i]) { t.Fatalf("it %d span %d of %d len %d\n%x\n%x", it,i,n,spans[i].len,bufs[i],want[i]) } }
  }
}
func TestSmokeSingle(t *testing.T){
  r := rand.New(rand.NewPCG(1,2))
  for l := range 1200 {
    for range 3 {
    var key [32]byte; for i := range key { key[i]=byte(r.Uint32()) }
    b := make([]byte,l+1); for j:= range b { b[j]=byte(r.Uint32()) }
    last := [2]uint64{r.Uint64(), r.Uint64()}
    m := pad16(bytes.Clone(b[:l])); m = binary.LittleEndian.AppendUint64(m,last[0]); m = binary.LittleEndian.AppendUint64(m,last[1])
    want := poly1305(key[:], m)
    var tag [16]byte
    single512(&key,&b[0],l,&last,&tag)
    if !bytes.Equal(tag[:],want) { t.Errorf("len %d: %x %x", l, tag, want); break }
    }
    if t.Failed() {break}
  }
}
func TestSmokeLanes(t *testing.T){
  r := rand.New(rand.NewPCG(1,2))
  for it := range 2000 {
    n := 1+r.IntN(8)
    var keys [8][32]byte
    bufs := make([][]byte,8)
    l := new(lanes)
    base := r.IntN(700)
    blocks := [8]int{}; mx := 0
    for i := range n {
      for j := range keys[i] { keys[i][j]=byte(r.Uint32()) }
      ln := base; if it%2==0 { ln = r.IntN(500) }
      b := make([]byte,ln+1); for j:= range b { b[j]=byte(r.Uint32()) }
      bufs[i]=b[:ln]; l.text[i]=&b[0]; l.len[i]=uint64(ln); l.last[0][i]=r.Uint64(); l.last[1][i]=r.Uint64()
      blocks[i]=(ln+15)/16+1; mx=max(mx,blocks[i])
    }
    l.quads=uint64(mx+3)/4
    for i := range 8 { if i>=n { l.text[i]=l.text[0] }; l.skip[i]=4*l.quads-uint64(blocks[i]); l.full=max(l.full,(l.skip[i]+3)/4); if i>=n {l.full=max(l.full,0)} }
    lanes512(&keys[0],l)
    for i := range n {
      m := pad16(bytes.Clone(bufs[i])); m = binary.LittleEndian.AppendUint64(m,l.last[0][i]); m = binary.LittleEndian.AppendUint64(m,l.last[1][i])
      want := poly1305(keys[i][:], m)
      got := binary.LittleEndian.AppendUint64(nil,l.tag[0][i]); got = binary.LittleEndian.AppendUint64(got,l.tag[1][i])
      if !bytes.Equal(got,want) { t.Fatalf("it %d lane %d/%d len %d: %x %x", it,i,n,len(bufs[i]),got,want) }
    }
    if l.table!=[20][8]uint64{} { t.Fatal("table") }
  }
}
func BenchmarkSmoke(b *testing.B){
  var key [32]byte
  buf := make([]byte, 16*1536)
  for _, n := range []int{512,1024,16384} { b.Run(fmt.Sprintf("chacha/%d",n), func(b *testing.B){ s := span{&buf[0],n,1,1,0}; b.SetBytes(int64(n)); for b.Loop() { chacha512(&key,&s,1) } }) }
  b.Run("keys16", func(b *testing.B){ var s [16]span; for i := range s { s[i]=span{&buf[64*i],32,uint64(i),0,0}}; for b.Loop() { chacha512(&key,&s[0],16) } })
  for _, n := range []int{64, 1420} { b.Run(fmt.Sprintf("single/%d",n), func(b *testing.B){ last := [2]uint64{}; var tag [16]byte; for b.Loop() { single512(&key,&buf[0],n,&last,&tag) } }) }
  for _, n := range []int{64, 1420} { b.Run(fmt.Sprintf("lanes/%d",n), func(b *testing.B){ l := new(lanes); var keys [8][32]byte; for i := range 8 { l.text[i]=&buf[i*(n+48)]; l.len[i]=uint64(n); bl := (n+15)/16+1; l.quads=uint64(bl+3)/4; l.skip[i]=4*l.quads-uint64(bl); l.full=(l.skip[i]+3)/4 }; for b.Loop() { lanes512(&keys[0],l) } }) }
}
