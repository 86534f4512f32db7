package main

// matrix is a read-only view of a flat slice as a rows × cols matrix. The two
// strides let one buffer be read as itself or transposed without copying:
// element (i, j) is data[i*rowStride+j*colStride].
type matrix struct {
	data                 []float32
	rows, cols           int
	rowStride, colStride int
}

// asMatrix views data, stored row after row, as a rows × cols matrix.
func asMatrix(data []float32, rows, cols int) matrix {
	return matrix{data, rows, cols, cols, 1}
}

// transposed swaps rows and columns without moving any number.
func (m matrix) transposed() matrix {
	return matrix{m.data, m.cols, m.rows, m.colStride, m.rowStride}
}

// addProduct adds the matrix product a·b to c. Shapes: a is m×k, b is k×n, c is
// m×n; b and c are stored row after row.
//
// All the training time is spent here. Two rows of c and four rows of b are
// taken at a time, so that each number loaded from memory is used in several
// multiply-accumulates; the inner loops run over contiguous rows and carry no
// dependency from one element to the next.
func addProduct(c []float32, a matrix, b []float32, n int) {
	i := 0
	for ; i+2 <= a.rows; i += 2 {
		addRowPair(c[i*n:(i+1)*n], c[(i+1)*n:(i+2)*n], a, i, b)
	}
	if i < a.rows {
		addLastRow(c[i*n:(i+1)*n], a, i, b)
	}
}

// addRowPair adds rows i and i+1 of a·b to c0 and c1.
func addRowPair(c0, c1 []float32, a matrix, i int, b []float32) {
	n, step := len(c0), a.colStride
	a0, a1 := a.data[i*a.rowStride:], a.data[(i+1)*a.rowStride:]
	p := 0
	for ; p+4 <= a.cols; p += 4 {
		x := [4]float32{a0[p*step], a0[(p+1)*step], a0[(p+2)*step], a0[(p+3)*step]}
		y := [4]float32{a1[p*step], a1[(p+1)*step], a1[(p+2)*step], a1[(p+3)*step]}
		addFourRows(c0, c1, x, y, b[p*n:(p+4)*n])
	}
	for ; p < a.cols; p++ {
		addScaled(c0, a0[p*step], b[p*n:(p+1)*n])
		addScaled(c1, a1[p*step], b[p*n:(p+1)*n])
	}
}

// addLastRow adds row i of a·b to c, for the odd row that addRowPair leaves.
func addLastRow(c []float32, a matrix, i int, b []float32) {
	n := len(c)
	for p := range a.cols {
		addScaled(c, a.data[i*a.rowStride+p*a.colStride], b[p*n:(p+1)*n])
	}
}

// addFourRows adds the four rows of b, weighted by x, to c0 and, weighted by
// y, to c1. The reslicing tells the compiler that every index is in range.
func addFourRows(c0, c1 []float32, x, y [4]float32, b []float32) {
	n := len(c0)
	c1 = c1[:n]
	b0, b1, b2, b3 := b[:n], b[n:][:n], b[2*n:][:n], b[3*n:][:n]
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	y0, y1, y2, y3 := y[0], y[1], y[2], y[3]
	for j := range c0 {
		v0, v1, v2, v3 := b0[j], b1[j], b2[j], b3[j]
		c0[j] += (x0*v0 + x1*v1) + (x2*v2 + x3*v3)
		c1[j] += (y0*v0 + y1*v1) + (y2*v2 + y3*v3)
	}
}

// addScaled adds scale times row to c.
func addScaled(c []float32, scale float32, row []float32) {
	row = row[:len(c)]
	for j := range c {
		c[j] += scale * row[j]
	}
}
