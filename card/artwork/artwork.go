// Package artwork draws the printed faces of a card: words and portrait in, a
// PDF or a PNG at the printer's resolution out.
//
// What is printed is the national profile's affair (national.CardFace); where
// it stands is decided here. Every card that chipid draws by itself is marked
// as a specimen: a real card's artwork, with its security print, is the
// issuing state's.
package artwork
