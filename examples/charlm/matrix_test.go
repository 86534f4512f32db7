package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestAddProduct compares the kernel with three plain loops, for shapes that
// leave every kind of remainder.
func TestAddProduct(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	for _, shape := range [][3]int{{1, 1, 1}, {2, 4, 3}, {3, 5, 2}, {5, 7, 9}, {4, 8, 1}, {1, 6, 5}} {
		m, k, n := shape[0], shape[1], shape[2]
		t.Run(fmt.Sprint(shape), func(t *testing.T) {
			a, b, c := randoms(m*k, random), randoms(k*n, random), randoms(m*n, random)
			checkProduct(t, asMatrix(a, m, k), b, c, n)
			checkProduct(t, asMatrix(a, k, m).transposed(), b, c, n)
		})
	}
}

func checkProduct(t *testing.T, a matrix, b, c []float32, n int) {
	t.Helper()
	got := append([]float32(nil), c...)
	addProduct(got, a, b, n)
	for i := range a.rows {
		for j := range n {
			want := float64(c[i*n+j])
			for p := range a.cols {
				want += float64(a.data[i*a.rowStride+p*a.colStride]) * float64(b[p*n+j])
			}
			if math.Abs(float64(got[i*n+j])-want) > 1e-5 {
				t.Errorf("element %d,%d: %g, want %g", i, j, got[i*n+j], want)
			}
		}
	}
}

func randoms(n int, random *rand.Rand) []float32 {
	values := make([]float32, n)
	fillNormal(values, 1, random)
	return values
}
