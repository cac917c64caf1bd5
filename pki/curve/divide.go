package curve

import (
	"math/big"

	"filippo.io/bigmod"
)

// Divide gives scalar·k⁻¹ modulo the order, in OrderSize octets: the chip
// authentication data of PACE-CAM (Doc 9303-11 §4.4.3.5.1). Both numbers stay
// secret; together with the result either gives the other.
func (k *PrivateKey) Divide(scalar []byte) []byte {
	c := k.curve
	exponent := new(big.Int).Sub(c.params.N, big.NewInt(2)).Bytes()
	quotient := bigmod.NewNat().Exp(c.nat(k.scalar), exponent, c.order)
	return quotient.Mul(c.reduce(scalar), c.order).Bytes(c.order)
}
