package ref

import (
	"encoding/binary"
	"fmt"
	"math"

	"cloister/llama/gguf"
)

// dequantise returns the tensor's values. The block layouts are described in
// ggml-common.h of llama.cpp.
func dequantise(t *gguf.Tensor) ([]float32, error) {
	block, ok := blocks[t.Type]
	if !ok {
		return nil, fmt.Errorf("the tensor %s has type %s, which the reference does not know", t.Name, t.Type)
	}
	n, size := t.Type.BlockSize(), t.Type.TypeSize()
	out := make([]float32, t.Elements())
	for i := 0; i*n < len(out); i++ {
		block(t.Data[i*size:(i+1)*size], out[i*n:(i+1)*n])
	}
	return out, nil
}

// blocks holds, for each type, the function that writes the values y of one block b.
var blocks = map[gguf.Type]func(b []byte, y []float32){
	gguf.F32:  func(b []byte, y []float32) { y[0] = math.Float32frombits(binary.LittleEndian.Uint32(b)) },
	gguf.F16:  func(b []byte, y []float32) { y[0] = half(b) },
	gguf.BF16: func(b []byte, y []float32) { y[0] = math.Float32frombits(uint32(b[1])<<24 | uint32(b[0])<<16) },
	gguf.Q8_0: func(b []byte, y []float32) {
		for i := range y {
			y[i] = half(b) * float32(int8(b[2+i]))
		}
	},
	gguf.Q4_0: func(b []byte, y []float32) {
		for i := range y {
			y[i] = half(b) * float32(nibble(b[2:], i)-8)
		}
	},
	gguf.Q4_1: func(b []byte, y []float32) {
		for i := range y {
			y[i] = half(b)*float32(nibble(b[4:], i)) + half(b[2:])
		}
	},
	gguf.Q5_0: func(b []byte, y []float32) {
		for i := range y {
			y[i] = half(b) * float32(nibble(b[6:], i)+16*bit(b[2:], i)-16)
		}
	},
	gguf.Q5_1: func(b []byte, y []float32) {
		for i := range y {
			y[i] = half(b)*float32(nibble(b[8:], i)+16*bit(b[4:], i)) + half(b[2:])
		}
	},
	gguf.Q4_K: q4K,
	gguf.Q6_K: q6K,
}

// half is the IEEE 754 half-precision number in the first two bytes.
func half(b []byte) float32 {
	h := int(b[0]) | int(b[1])<<8
	sign, exponent, fraction := h>>15, h>>10&31, h&1023
	var v float64
	switch exponent {
	case 0:
		v = math.Ldexp(float64(fraction), -24)
	case 31:
		v = math.Inf(1)
		if fraction != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(float64(1024+fraction), exponent-25)
	}
	if sign == 1 {
		v = -v
	}
	return float32(v)
}

// nibble is number i of 32: the low halves of 16 bytes, then the high halves.
func nibble(b []byte, i int) int {
	if i < 16 {
		return int(b[i] & 15)
	}
	return int(b[i-16] >> 4)
}

// bit is bit i of 32, lowest first.
func bit(b []byte, i int) int { return int(b[i/8] >> (i % 8) & 1) }

// q4K: d, dmin, 12 bytes with 8 scales and 8 minima of 6 bits, 128 bytes of
// nibbles: 32 values low, then 32 values high, four times.
func q4K(b []byte, y []float32) {
	d, dmin, packed, nibbles := half(b), half(b[2:]), b[4:16], b[16:]
	for i := range y {
		j := i / 32
		var scale, low byte
		if j < 4 {
			scale, low = packed[j]&63, packed[j+4]&63
		} else {
			scale = packed[j+4]&15 | packed[j-4]>>6<<4
			low = packed[j+4]>>4 | packed[j]>>6<<4
		}
		q := nibbles[i/64*32+i%32]
		if i%64 < 32 {
			q &= 15
		} else {
			q >>= 4
		}
		y[i] = d*float32(scale)*float32(q) - dmin*float32(low)
	}
}

// q6K: 128 bytes of low nibbles, 64 bytes of two high bits, 16 scales, d.
// Each half of 128 values is four runs of 32.
func q6K(b []byte, y []float32) {
	low, high, scales, d := b[:128], b[128:192], b[192:208], half(b[208:])
	for i := range y {
		n, run, l := i/128, i%128/32, i%32
		q := low[n*64+run%2*32+l]
		if run < 2 {
			q &= 15
		} else {
			q >>= 4
		}
		q |= high[n*32+l] >> (2 * run) & 3 << 4
		y[i] = d * float32(int8(scales[i/16])) * float32(int(q)-32)
	}
}
