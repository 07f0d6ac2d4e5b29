package tinygguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"cloister/llama/gguf"
)

// Quantise turns float32 values, whole blocks of them, into the bytes of the
// type. It rounds as ggml's quantize_row_*_ref do for F32, F16, BF16, Q8_0,
// Q4_0, Q4_1, Q5_0 and Q5_1, and in one simple pass without their search for
// Q4_K and Q6_K. Block layouts are those of ggml-common.h.
func Quantise(typ gguf.Type, x []float32) ([]byte, error) {
	q, ok := quantisers[typ]
	if !ok {
		return nil, fmt.Errorf("no quantiser for %s", typ)
	}
	n := typ.BlockSize()
	if len(x)%n != 0 {
		return nil, fmt.Errorf("%d values are no whole blocks of %s", len(x), typ)
	}
	out := make([]byte, 0, typ.RowSize(len(x)))
	for i := 0; i < len(x); i += n {
		out = q(out, x[i:i+n])
	}
	return out, nil
}

// Types that Quantise knows.
var Types = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.Q4_K, gguf.Q6_K}

var quantisers = map[gguf.Type]func(out []byte, x []float32) []byte{
	gguf.F32:  func(out []byte, x []float32) []byte { return le.AppendUint32(out, math.Float32bits(x[0])) },
	gguf.F16:  func(out []byte, x []float32) []byte { return le.AppendUint16(out, Half(x[0])) },
	gguf.BF16: func(out []byte, x []float32) []byte { return le.AppendUint16(out, brain(x[0])) },
	gguf.Q8_0: q8_0,
	gguf.Q4_0: func(out []byte, x []float32) []byte { return symmetric(out, x, 4) },
	gguf.Q4_1: func(out []byte, x []float32) []byte { return affine(out, x, 4) },
	gguf.Q5_0: func(out []byte, x []float32) []byte { return symmetric(out, x, 5) },
	gguf.Q5_1: func(out []byte, x []float32) []byte { return affine(out, x, 5) },
	gguf.Q4_K: q4_K,
	gguf.Q6_K: q6_K,
}

var le = binary.LittleEndian

// Half rounds to IEEE 754 half precision, to nearest, ties to even.
func Half(f float32) uint16 {
	b := math.Float32bits(f)
	sign, abs := uint16(b>>16)&0x8000, b&0x7fffffff
	switch {
	case abs > 0x7f800000: // NaN
		return sign | 0x7e00
	case abs >= 0x477ff000: // 65520 and above round to infinity
		return sign | 0x7c00
	case abs < 0x38800000: // below 2^-14: multiples of 2^-24
		return sign | uint16(math.RoundToEven(math.Ldexp(float64(math.Float32frombits(abs)), 24)))
	}
	abs += 0xfff + abs>>13&1
	return sign | uint16((abs-0x38000000)>>13)
}

// FromHalf is the value of a finite half.
func FromHalf(h uint16) float32 {
	exp, frac := int(h>>10&31), float64(h&1023)
	v := math.Ldexp(frac, -24)
	if exp > 0 {
		v = math.Ldexp(1024+frac, exp-25)
	}
	if h&0x8000 != 0 {
		v = -v
	}
	return float32(v)
}

// brain rounds to bfloat16, to nearest, ties to even.
func brain(f float32) uint16 {
	b := math.Float32bits(f)
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func inverse(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
}

// q8_0: d, then 32 int8; x = d·q.
func q8_0(out []byte, x []float32) []byte {
	var largest float32
	for _, v := range x {
		largest = max(largest, abs(v))
	}
	d := largest / 127
	id := inverse(d)
	out = le.AppendUint16(out, Half(d))
	for _, v := range x {
		out = append(out, byte(int8(math.Round(float64(v*id)))))
	}
	return out
}

// symmetric is Q4_0 and Q5_0: d, the fifth bits if any, 16 bytes of nibbles;
// x = d·(q - 2^(bits-1)). The value of largest size becomes exact.
func symmetric(out []byte, x []float32, bits int) []byte {
	var peak float32
	for _, v := range x {
		if abs(v) > abs(peak) {
			peak = v
		}
	}
	half := float32(int(1) << (bits - 1))
	d := peak / -half
	id := inverse(d)
	q := make([]byte, 32)
	for i, v := range x {
		q[i] = byte(min(float32(int(1)<<bits-1), float32(math.Floor(float64(v*id+half+0.5)))))
	}
	return nibbles(le.AppendUint16(out, Half(d)), q, bits)
}

// affine is Q4_1 and Q5_1: d, m, the fifth bits if any, 16 bytes of nibbles;
// x = d·q + m.
func affine(out []byte, x []float32, bits int) []byte {
	lo, hi := x[0], x[0]
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	top := float32(int(1)<<bits - 1)
	d := (hi - lo) / top
	id := inverse(d)
	q := make([]byte, 32)
	for i, v := range x {
		q[i] = byte(min(top, float32(math.Floor(float64((v-lo)*id+0.5)))))
	}
	out = le.AppendUint16(out, Half(d))
	return nibbles(le.AppendUint16(out, Half(lo)), q, bits)
}

// nibbles appends 32 numbers: their fifth bits as a uint32 when they have 5,
// then byte j = q[j] low, q[j+16] high.
func nibbles(out []byte, q []byte, bits int) []byte {
	if bits == 5 {
		var high uint32
		for j, v := range q {
			high |= uint32(v>>4) << j
		}
		out = le.AppendUint32(out, high)
	}
	for j := range 16 {
		out = append(out, q[j]&15|q[j+16]<<4)
	}
	return out
}

// q4_K: d, dmin, 8 pairs of 6-bit scale and minimum in 12 bytes, 128 bytes of
// nibbles; in the sub-block j of 32 values x = d·scale[j]·q - dmin·min[j].
func q4_K(out []byte, x []float32) []byte {
	var scale, low [8]float32
	var topScale, topLow float32
	for j := range 8 {
		var lo, hi float32 // the minimum is at most 0
		for _, v := range x[j*32 : j*32+32] {
			lo, hi = min(lo, v), max(hi, v)
		}
		scale[j], low[j] = (hi-lo)/15, -lo
		topScale, topLow = max(topScale, scale[j]), max(topLow, low[j])
	}
	d, dmin := Half(topScale/63), Half(topLow/63)
	var packed [12]byte
	q := make([]byte, 256)
	for j := range 8 {
		s := byte(min(63, math.Round(float64(scale[j]*inverse(FromHalf(d))))))
		m := byte(min(63, math.Round(float64(low[j]*inverse(FromHalf(dmin))))))
		if j < 4 {
			packed[j], packed[j+4] = packed[j]|s, packed[j+4]|m
		} else {
			packed[j+4] = s&15 | m<<4
			packed[j-4] |= s >> 4 << 6
			packed[j] |= m >> 4 << 6
		}
		id := inverse(FromHalf(d) * float32(s))
		for i, v := range x[j*32 : j*32+32] {
			q[j*32+i] = byte(max(0, min(15, math.Round(float64((v+FromHalf(dmin)*float32(m))*id)))))
		}
	}
	out = le.AppendUint16(out, d)
	out = le.AppendUint16(out, dmin)
	out = append(out, packed[:]...)
	for j := 0; j < 256; j += 64 {
		for i := range 32 {
			out = append(out, q[j+i]|q[j+i+32]<<4)
		}
	}
	return out
}

// q6_K: 128 bytes of low nibbles, 64 bytes of high pairs, 16 int8 scales, d;
// in the sub-block j of 16 values x = d·scale[j]·(q - 32).
func q6_K(out []byte, x []float32) []byte {
	var scale [16]float32
	var top float32
	for j := range 16 {
		for _, v := range x[j*16 : j*16+16] {
			scale[j] = max(scale[j], abs(v)/31)
		}
		top = max(top, scale[j])
	}
	d := Half(top / 127)
	q := make([]byte, 256)
	var s [16]byte
	for j := range 16 {
		s[j] = byte(min(127, math.Round(float64(scale[j]*inverse(FromHalf(d))))))
		id := inverse(FromHalf(d) * float32(s[j]))
		for i, v := range x[j*16 : j*16+16] {
			q[j*16+i] = byte(max(-32, min(31, math.Round(float64(v*id)))) + 32)
		}
	}
	var high []byte
	for n := 0; n < 256; n += 128 {
		for _, at := range []int{0, 32} { // nibbles of q[l+at] and q[l+at+64]
			for l := range 32 {
				out = append(out, q[n+l+at]&15|q[n+l+at+64]<<4)
			}
		}
		for l := range 32 {
			high = append(high, q[n+l]>>4|q[n+l+32]>>4<<2|q[n+l+64]>>4<<4|q[n+l+96]>>4<<6)
		}
	}
	out = append(append(out, high...), s[:]...)
	return le.AppendUint16(out, d)
}

func abs(v float32) float32 { return float32(math.Abs(float64(v))) }
