package store_test

import (
	"context"
	"fmt"
	"testing"

	"cloister/store"
)

// BenchmarkCreateVersion stores 10,000 short examples.
func BenchmarkCreateVersion(b *testing.B) {
	h := open(b)
	list := someExamples(b, 10_000, "bench")
	for b.Loop() {
		h.version("d", list)
	}
}

// BenchmarkExamples reads 10,000 of them.
func BenchmarkExamples(b *testing.B) {
	h := open(b)
	h.version("d", someExamples(b, 10_000, "bench"))
	for b.Loop() {
		for _, err := range h.Examples("d", 0, "") {
			no(b, err)
		}
	}
}

// BenchmarkPutAnswer is what each chat costs, with its wait for the disk.
func BenchmarkPutAnswer(b *testing.B) {
	h := open(b)
	base := h.base("m")
	n := store.NewAnswer{Model: base, Answer: masked(b, "At nine."), Messages: []store.NewMessage{{Role: "user", Content: masked(b, "When do you open?")}}}
	for b.Loop() {
		ok(h.PutAnswer(n))(b)
	}
}

// BenchmarkToken is a new value of the vault, and then one that it knows.
func BenchmarkToken(b *testing.B) {
	h := open(b)
	v := ok(h.Vault("p"))(b)
	b.Run("new", func(b *testing.B) {
		i := 0
		for b.Loop() {
			ok(v.Token("PERSON", fmt.Sprint(b.N, " ", i)))(b)
			i++
		}
	})
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			ok(v.Token("PERSON", "the same"))(b)
		}
	})
}

// BenchmarkCheck reads a store of 10,000 examples and a file of 16 MiB.
func BenchmarkCheck(b *testing.B) {
	h := open(b)
	h.version("d", someExamples(b, 10_000, "bench"))
	ok(h.put(store.File{}, &endless{16 << 20}))(b)
	for b.Loop() {
		no(b, h.Check(context.Background()))
	}
}
