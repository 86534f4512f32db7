package main

import "math"

// expNegative is e^x for x ≤ 0, to about 2 units in the last place: x is
// written as k·ln 2 + r with |r| ≤ ½ ln 2, and e^r is a polynomial (the one of
// expf in S. Moshier's Cephes library). It is several times faster than
// math.Exp, which works in float64.
func expNegative(x float32) float32 {
	if x < -87 {
		return 0 // below the smallest normal float32
	}
	k := int32(x*math.Log2E - 0.5)
	r := x - float32(k)*0.693359375 + float32(k)*2.12194440e-4
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	return (p*r*r + r + 1) * math.Float32frombits(uint32(k+127)<<23)
}

// tanh is the hyperbolic tangent, with an absolute error near 1e-7. The sign is
// taken off and put back as a bit: a branch on it would be mispredicted half of
// the time.
func tanh(x float32) float32 {
	const signBit = 1 << 31
	bits := math.Float32bits(x)
	e := expNegative(-2 * math.Float32frombits(bits&^signBit))
	size := (1 - e) / (1 + e)
	return math.Float32frombits(math.Float32bits(size) | bits&signBit)
}
