//! Arithmetic modulo SM2's prime, four words a number, in Montgomery's form.
//!
//! The prime is 2^256 - 2^224 - 2^96 + 2^64 - 1: its lowest word is all ones, so that each step of Montgomery's reduction adds the
//! lowest word times the prime by shifts alone. Nothing here branches or looks up by a value, so that all takes constant time.

use std::ops::{Add, Mul, Neg, Sub};

/// The prime, lowest word first. Source: GB/T 32918.5.
const PRIME: [u64; 4] = [0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_0000_0000, 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFE_FFFF_FFFF];
/// 2^512 modulo the prime: multiplying by it brings a number into Montgomery's form.
const SQUARE_OF_RADIX: [u64; 4] =
    [0x0000_0002_0000_0003, 0x0000_0002_FFFF_FFFF, 0x0000_0001_0000_0001, 0x0000_0004_0000_0002];

/// A number below the prime, times 2^256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element([u64; 4]);

impl Element {
    pub const ZERO: Element = Element([0; 4]);
    pub const ONE: Element = Element([1, 0x0000_0000_FFFF_FFFF, 0, 0x0000_0001_0000_0000]);

    /// A number below the prime, big-endian, as every coordinate of a point is.
    pub const fn of_bytes(bytes: &[u8; 32]) -> Element {
        let mut words = [0; 4];
        let mut place = 0;
        while place < 32 {
            words[3 - place / 8] = words[3 - place / 8] << 8 | bytes[place] as u64;
            place += 1;
        }
        multiply(&words, &SQUARE_OF_RADIX)
    }

    /// A constant in hexadecimal.
    pub const fn of_hex(text: &[u8; 64]) -> Element {
        let mut bytes = [0; 32];
        let mut place = 0;
        while place < 64 {
            let letter = text[place];
            let digit = if letter < b'A' { letter - b'0' } else { letter - b'A' + 10 };
            bytes[place / 2] = bytes[place / 2] << 4 | digit;
            place += 1;
        }
        Element::of_bytes(&bytes)
    }

    pub fn to_bytes(self) -> [u8; 32] {
        let Element(words) = multiply(&self.0, &[1, 0, 0, 0]);
        let mut bytes = [0; 32];
        for (word, bytes) in words.iter().rev().zip(bytes.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    pub fn double(self) -> Element {
        self + self
    }

    pub fn square(self) -> Element {
        self * self
    }

    /// To the power of the prime less two; zero stays zero. Written in bits that power is 31 ones, a zero, 128 ones, 32 zeros, 62 ones, a
    /// zero and a one: powers of nothing but ones are put together.
    pub fn invert(self) -> Element {
        let two = self.squared(1) * self;
        let four = two.squared(2) * two;
        let eight = four.squared(4) * four;
        let sixteen = eight.squared(8) * eight;
        let thirty = ((sixteen.squared(8) * eight).squared(4) * four).squared(2) * two;
        let thirty_one = thirty.squared(1) * self;
        let thirty_two = thirty_one.squared(1) * self;
        let mut inverse = thirty_one.squared(1);
        for _ in 0..4 {
            inverse = inverse.squared(32) * thirty_two;
        }
        inverse = inverse.squared(64) * thirty_two;
        (inverse.squared(30) * thirty).squared(2) * self
    }

    /// Squared `times` times, one after the other.
    fn squared(self, times: u32) -> Element {
        (0..times).fold(self, |power, _| power.square())
    }

    /// `self` where the mask is all ones, zero where it is nothing.
    #[inline(always)]
    pub fn masked(self, mask: u64) -> Element {
        Element(masked(&self.0, mask))
    }

    /// All ones of zero, nothing of any other number.
    #[inline(always)]
    pub fn zero_mask(self) -> u64 {
        let Element([first, second, third, fourth]) = self;
        let bits = first | second | third | fourth;
        // Of any other, these bits or their negative have the highest one.
        std::hint::black_box(((bits | bits.wrapping_neg()) >> 63).wrapping_sub(1))
    }

    /// One of two of which the other is zero.
    #[inline(always)]
    pub fn or(self, other: Element) -> Element {
        let (Element(a), Element(b)) = (self, other);
        Element([a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3]])
    }
}

impl Add for Element {
    type Output = Element;
    fn add(self, other: Element) -> Element {
        let (sum, carry) = add_words(&self.0, &other.0);
        below_prime(sum, carry)
    }
}

impl Sub for Element {
    type Output = Element;
    fn sub(self, other: Element) -> Element {
        let (difference, borrow) = sub_words(&self.0, &other.0);
        let (lifted, _) = add_words(&difference, &masked(&PRIME, 0u64.wrapping_sub(borrow)));
        Element(lifted)
    }
}

impl Neg for Element {
    type Output = Element;
    fn neg(self) -> Element {
        Element::ZERO - self
    }
}

impl Mul for Element {
    type Output = Element;
    #[inline]
    fn mul(self, other: Element) -> Element {
        multiply(&self.0, &other.0)
    }
}

/// The product over 2^256.
#[inline(always)]
const fn multiply(a: &[u64; 4], b: &[u64; 4]) -> Element {
    let (wide, carry) = multiply_by([0; 5], a[0], b);
    let (wide, carry) = multiply_by(reduce(wide, carry), a[1], b);
    let (wide, carry) = multiply_by(reduce(wide, carry), a[2], b);
    let (wide, carry) = multiply_by(reduce(wide, carry), a[3], b);
    let [first, second, third, fourth, fifth] = reduce(wide, carry);
    below_prime([first, second, third, fourth], fifth)
}

/// A sum and one word times a number, in six words.
#[inline(always)]
const fn multiply_by(sum: [u64; 5], word: u64, number: &[u64; 4]) -> ([u64; 5], u64) {
    let (first, carry) = multiply_add(sum[0], word, number[0], 0);
    let (second, carry) = multiply_add(sum[1], word, number[1], carry);
    let (third, carry) = multiply_add(sum[2], word, number[2], carry);
    let (fourth, carry) = multiply_add(sum[3], word, number[3], carry);
    let (fifth, sixth) = add(sum[4], carry, 0);
    ([first, second, third, fourth, fifth], sixth)
}

/// Adds that multiple of the prime which makes the lowest word zero, and drops the word. The multiple is by the word itself;
/// without the part that cancels it is word * (2^192 - 2^160 - 2^32 + 1), one place up.
#[inline(always)]
const fn reduce(sum: [u64; 5], sixth: u64) -> [u64; 5] {
    let word = sum[0];
    let (low, high) = (word << 32, word >> 32);
    let (first, borrow) = subtract(word, low, 0);
    let (second, borrow) = subtract(0, high, borrow);
    let (third, borrow) = subtract(0, low, borrow);
    let (fourth, _) = subtract(word, high, borrow);
    let (first, carry) = add(sum[1], first, 0);
    let (second, carry) = add(sum[2], second, carry);
    let (third, carry) = add(sum[3], third, carry);
    let (fourth, carry) = add(sum[4], fourth, carry);
    [first, second, third, fourth, sixth + carry]
}

/// A number below twice the prime, with a fifth word, brought below it.
#[inline(always)]
const fn below_prime(words: [u64; 4], fifth: u64) -> Element {
    let (less, borrow) = sub_words(&words, &PRIME);
    // Kept as it is where it was below already.
    let keep = 0u64.wrapping_sub(borrow & (fifth ^ 1));
    Element([
        words[0] & keep | less[0] & !keep,
        words[1] & keep | less[1] & !keep,
        words[2] & keep | less[2] & !keep,
        words[3] & keep | less[3] & !keep,
    ])
}

/// The words where the mask is all ones, nothing where it is nothing. Written out, as all that is done with words here: where nothing
/// is optimised, each step of an iterator over them is a call that costs more than the sum.
#[inline(always)]
const fn masked(words: &[u64; 4], mask: u64) -> [u64; 4] {
    [words[0] & mask, words[1] & mask, words[2] & mask, words[3] & mask]
}

#[inline(always)]
const fn add_words(a: &[u64; 4], b: &[u64; 4]) -> ([u64; 4], u64) {
    let (first, carry) = add(a[0], b[0], 0);
    let (second, carry) = add(a[1], b[1], carry);
    let (third, carry) = add(a[2], b[2], carry);
    let (fourth, carry) = add(a[3], b[3], carry);
    ([first, second, third, fourth], carry)
}

#[inline(always)]
const fn sub_words(a: &[u64; 4], b: &[u64; 4]) -> ([u64; 4], u64) {
    let (first, borrow) = subtract(a[0], b[0], 0);
    let (second, borrow) = subtract(a[1], b[1], borrow);
    let (third, borrow) = subtract(a[2], b[2], borrow);
    let (fourth, borrow) = subtract(a[3], b[3], borrow);
    ([first, second, third, fourth], borrow)
}

#[inline(always)]
const fn add(a: u64, b: u64, carry: u64) -> (u64, u64) {
    let sum = (a as u128).wrapping_add(b as u128).wrapping_add(carry as u128);
    (sum as u64, (sum >> 64) as u64)
}

#[inline(always)]
const fn subtract(a: u64, b: u64, borrow: u64) -> (u64, u64) {
    let difference = (a as u128).wrapping_sub(b as u128).wrapping_sub(borrow as u128);
    (difference as u64, (difference >> 64) as u64 & 1)
}

/// `sum + a * b + carry`, which two words always hold.
#[inline(always)]
const fn multiply_add(sum: u64, a: u64, b: u64, carry: u64) -> (u64, u64) {
    let wide = (a as u128).wrapping_mul(b as u128).wrapping_add(sum as u128).wrapping_add(carry as u128);
    (wide as u64, (wide >> 64) as u64)
}
