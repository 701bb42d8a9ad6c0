//! Scalar multiplication on SM2's curve with precomputed tables, in constant time if the scalar is secret.
//!
//! For a point that is multiplied again and again (the base point, a partner's key), the table has its multiples by 1 to 8 times each power
//! of 256: 17 KB. A multiplication then takes 65 additions and four doublings, while the library doubles 256 times.
//!
//! Additions and doublings use the complete formulas of Renes, Costello and Batina (2015, algorithms 4 to 6), which have no exceptional
//! cases. Table entries are added by a formula at three quarters of the cost, which has some. They never occur in a multiple of one point
//! (see `Table::plus`). In a sum of two multiples, where nothing is secret, the complete formulas are used if one occurs. For public
//! scalars of the base point a larger table (270 KB) has the multiples by 1 to 128, so that 33 additions are enough.

use std::sync::LazyLock;

use super::sm2_field::Element;

/// How many digits of 4 bits a scalar has; a carry comes on top.
const DIGITS: usize = 64;
const ROWS: usize = DIGITS / 2 + 1;
const ROW_BITS: usize = 8;
const COLUMNS: usize = 8;
/// The columns of a row for one digit of 8 bits instead of two of 4.
const COLUMNS_WIDE: usize = 128;

/// The curve's b and its base point. Source: GB/T 32918.5.
const B: Element = Element::of_hex(b"28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93");
const BASE: Affine = Affine {
    x: Element::of_hex(b"32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7"),
    y: Element::of_hex(b"BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0"),
};
static BASE_TABLE: LazyLock<Table> = LazyLock::new(|| Table::of(BASE));
static BASE_WIDE: LazyLock<Rows<COLUMNS_WIDE>> = LazyLock::new(|| rows_of(BASE));

/// A point that is not at infinity.
#[derive(Clone, Copy)]
struct Affine {
    x: Element,
    y: Element,
}

/// A point in projective coordinates, x/z and y/z; at infinity if z is zero.
#[derive(Clone, Copy)]
pub(super) struct Point {
    x: Element,
    y: Element,
    z: Element,
}

/// A point's multiples from 1 on, times each power of 256.
type Rows<const COLUMNS: usize> = Box<[[Affine; COLUMNS]]>;

/// A point's multiples.
pub(super) struct Table {
    rows: Rows<COLUMNS>,
}

impl Point {
    const INFINITY: Point = Point { x: Element::ZERO, y: Element::ONE, z: Element::ZERO };

    /// Algorithm 4.
    pub fn add(&self, other: &Point) -> Point {
        let (xx, yy, zz) = (self.x * other.x, self.y * other.y, self.z * other.z);
        let xy = (self.x + self.y) * (other.x + other.y) - (xx + yy);
        let yz = (self.y + self.z) * (other.y + other.z) - (yy + zz);
        let xz = (self.x + self.z) * (other.x + other.z) - (xx + zz);
        let third = xz - B * zz;
        let third = third.double() + third;
        Point::joined(Products { xx, yy, xy, yz, xz, third, zz3: zz.double() + zz })
    }

    /// Algorithm 5.
    fn add_affine(&self, other: &Affine) -> Point {
        let (xx, yy) = (self.x * other.x, self.y * other.y);
        let xy = (self.x + self.y) * (other.x + other.y) - (xx + yy);
        let yz = other.y * self.z + self.y;
        let xz = other.x * self.z + self.x;
        let third = xz - B * self.z;
        let third = third.double() + third;
        Point::joined(Products { xx, yy, xy, yz, xz, third, zz3: self.z.double() + self.z })
    }

    /// What algorithms 4 and 5 have in common from step 16 on.
    #[inline(always)]
    fn joined(of: Products) -> Point {
        let Products { xx, yy, xy, yz, xz, third, zz3 } = of;
        let (less, more) = (yy - third, yy + third);
        let mixed = B * xz - (zz3 + xx);
        let mixed = mixed.double() + mixed;
        let square = xx.double() + xx - zz3;
        Point { x: more * xy - yz * mixed, y: more * less + square * mixed, z: less * yz + xy * square }
    }

    /// Algorithm 6.
    fn double(&self) -> Point {
        let (xx, yy, zz) = (self.x.square(), self.y.square(), self.z.square());
        let (xy2, xz2) = ((self.x * self.y).double(), (self.x * self.z).double());
        let third = B * zz - xz2;
        let third = third.double() + third;
        let (less, more) = (yy - third, yy + third);
        let zz3 = zz.double() + zz;
        let mixed = B * xz2 - (zz3 + xx);
        let mixed = mixed.double() + mixed;
        let square = xx.double() + xx - zz3;
        let yz2 = (self.y * self.z).double();
        Point { x: less * xy2 - mixed * yz2, y: more * less + square * mixed, z: (yz2 * yy).double().double() }
    }

    /// Whether the point's x is this number. Costs one product, while computing x takes an inversion.
    pub fn has_x(&self, x: &[u8; 32]) -> bool {
        self.z != Element::ZERO && Element::of_bytes(x) * self.z == self.x
    }

    /// x as 32 bytes; `None` at infinity.
    pub fn x_bytes(&self) -> Option<[u8; 32]> {
        (self.z != Element::ZERO).then(|| (self.x * self.z.invert()).to_bytes())
    }
}

/// A point in XYZZ coordinates: x/zz and y/zzz, where zz is the square and zzz the cube of the same number; at infinity if both are zero.
#[derive(Clone, Copy)]
struct Quick {
    x: Element,
    y: Element,
    zz: Element,
    zzz: Element,
}

impl Quick {
    const INFINITY: Quick = Quick { x: Element::ZERO, y: Element::ZERO, zz: Element::ZERO, zzz: Element::ZERO };

    fn of(Affine { x, y }: Affine) -> Quick {
        Quick { x, y, zz: Element::ONE, zzz: Element::ONE }
    }

    /// `None` if both have the same x: they are the same point, or opposite ones.
    fn add_affine(&self, other: &Affine) -> Option<Quick> {
        let (p, r) = self.apart(other);
        (p != Element::ZERO).then(|| self.added(p, r))
    }

    /// How far x and y of another point are from these.
    #[inline(always)]
    fn apart(&self, other: &Affine) -> (Element, Element) {
        (other.x * self.zz - self.x, other.y * self.zzz - self.y)
    }

    /// The sum of two points that are so far apart, and neither of them at infinity. Source: madd-2008-s of the Explicit-Formulas Database,
    /// XYZZ coordinates of short Weierstrass curves.
    #[inline(always)]
    fn added(&self, p: Element, r: Element) -> Quick {
        let pp = p.square();
        let (ppp, q) = (p * pp, self.x * pp);
        let x = r.square() - ppp - q.double();
        let y = r * (q - x) - self.y * ppp;
        Quick { x, y, zz: self.zz * pp, zzz: self.zzz * ppp }
    }

    /// `self` where the mask is all ones, the other where it is nothing.
    #[inline(always)]
    fn if_set(&self, mask: u64, other: &Quick) -> Quick {
        let choose = |own: Element, other: Element| own.masked(mask).or(other.masked(!mask));
        Quick {
            x: choose(self.x, other.x),
            y: choose(self.y, other.y),
            zz: choose(self.zz, other.zz),
            zzz: choose(self.zzz, other.zzz),
        }
    }

    fn point(&self) -> Point {
        // At infinity y is any number but zero.
        let y = (self.y * self.zz).or(Element::ONE.masked(self.zz.zero_mask()));
        Point { x: self.x * self.zzz, y, z: self.zz * self.zzz }
    }
}

/// Products of two points' coordinates.
struct Products {
    xx: Element,
    yy: Element,
    xy: Element,
    yz: Element,
    xz: Element,
    third: Element,
    zz3: Element,
}

impl Table {
    /// Of a point by its coordinates, which must be one of the curve's, and not at infinity.
    pub fn of_point(x: &[u8; 32], y: &[u8; 32]) -> Table {
        Table::of(Affine { x: Element::of_bytes(x), y: Element::of_bytes(y) })
    }

    /// Of the base point.
    pub fn base() -> &'static Table {
        &BASE_TABLE
    }

    fn of(point: Affine) -> Table {
        Table { rows: rows_of(point) }
    }

    /// The point times a scalar of 32 bytes, big-endian.
    pub fn times(&self, scalar: &[u8; 32]) -> Point {
        let digits = digits(scalar);
        let mut even = self.plus(&Quick::INFINITY, ROWS - 1, digits[DIGITS]);
        let mut odd = Quick::INFINITY;
        for row in 0..ROWS - 1 {
            even = self.plus(&even, row, digits[row * 2]);
            odd = self.plus(&odd, row, digits[row * 2 + 1]);
        }
        let (even, mut odd) = (even.point(), odd.point());
        for _ in 0..4 {
            odd = odd.double();
        }
        even.add(&odd)
    }

    /// The sum of a multiple of the base point and a multiple of another point, for public scalars only: it is not constant-time, because
    /// only the needed entries are read and added. Both multiples share their doublings.
    pub fn sum_of_public(base_times: &[u8; 32], (table, times): (&Table, &[u8; 32])) -> Point {
        let entries = base_entries(base_times).chain(table.entries(times));
        let [even, mut odd] = sums_quickly(entries.clone()).unwrap_or_else(|| sums(entries));
        for _ in 0..4 {
            odd = odd.double();
        }
        even.add(&odd)
    }

    /// The table entries whose sum is the point times a scalar; each with 0 for an even digit's place and 1 for an odd one.
    fn entries(&self, times: &[u8; 32]) -> impl Iterator<Item = (usize, Affine)> + Clone {
        digits(times).into_iter().enumerate().filter_map(move |(place, digit)| {
            let entry = entry(&self.rows[place / 2], i16::from(digit))?;
            Some((place % 2, entry))
        })
    }

    /// Adds a digit's multiple from a row to `sum`. Every entry of the row is read, so that memory access does not depend on the digit.
    ///
    /// The quick formula needs two points with different x, unless one is at infinity. That always holds here: all rows before this one sum
    /// to less than any of its entries. The carry counts as 2^256 minus the group's order, which is 2^224 plus a remainder of 128 bits:
    /// more than the entries of rows below the 28th, and less than those above. From the entries of the 28th row itself it differs by that
    /// remainder, whose lowest byte is 0xDD, which digits from -8 to 7 cannot make up.
    fn plus(&self, sum: &Quick, row: usize, digit: i8) -> Quick {
        let (mut x, mut y) = (Element::ZERO, Element::ZERO);
        for (entry, times) in self.rows[row].iter().zip(1..) {
            let mask = is_equal(u64::from(digit.unsigned_abs()), times);
            x = x.or(entry.x.masked(mask));
            y = y.or(entry.y.masked(mask));
        }
        let is_negative = 0u64.wrapping_sub(u64::from(digit as u8 >> 7));
        let y = (-y).masked(is_negative).or(y.masked(!is_negative));
        let entry = Affine { x, y };
        let (p, r) = sum.apart(&entry);
        let more = Quick::of(entry).if_set(sum.zz.zero_mask(), &sum.added(p, r));
        sum.if_set(is_equal(u64::from(digit.unsigned_abs()), 0), &more)
    }
}

fn rows_of<const COLUMNS: usize>(point: Affine) -> Rows<COLUMNS> {
    let mut power = Point { x: point.x, y: point.y, z: Element::ONE };
    let mut multiples = Vec::with_capacity(ROWS * COLUMNS);
    for _ in 0..ROWS {
        let mut multiple = power;
        for _ in 0..COLUMNS {
            multiples.push(multiple);
            multiple = multiple.add(&power);
        }
        for _ in 0..ROW_BITS {
            power = power.double();
        }
    }
    // No multiple is at infinity, because the group's order is a prime far above 128.
    let entries = multiples.iter().zip(inverses(&multiples));
    let entries = entries.map(|(multiple, inverse)| Affine { x: multiple.x * inverse, y: multiple.y * inverse });
    let entries: Vec<Affine> = entries.collect();
    let (rows, _) = entries.as_chunks::<COLUMNS>();
    rows.into()
}

/// The table entry for a digit of a row; `None` for zero.
fn entry<const COLUMNS: usize>(row: &[Affine; COLUMNS], digit: i16) -> Option<Affine> {
    let column = usize::from(digit.unsigned_abs()).checked_sub(1)?;
    let Affine { x, y } = row[column];
    Some(Affine { x, y: if digit < 0 { -y } else { y } })
}

/// The table entries whose sum is the base point times a scalar, all in even places. All are read before any is added, so that their cache
/// misses overlap.
fn base_entries(times: &[u8; 32]) -> impl Iterator<Item = (usize, Affine)> + Clone {
    let (rows, digits) = (&*BASE_WIDE, digits_wide(times));
    let entries: [Option<Affine>; ROWS] = std::array::from_fn(|row| entry(&rows[row], digits[row]));
    entries.into_iter().flatten().map(|entry| (0, entry))
}

/// The sums of the entries in even places, and of those in odd ones.
fn sums(entries: impl Iterator<Item = (usize, Affine)>) -> [Point; 2] {
    let mut sums = [Point::INFINITY; 2];
    for (place, entry) in entries {
        sums[place] = sums[place].add_affine(&entry);
    }
    sums
}

/// As [`sums`], by the quick formula; `None` if two points with the same x meet, which happens only with signatures constructed for it.
fn sums_quickly(entries: impl Iterator<Item = (usize, Affine)>) -> Option<[Point; 2]> {
    let mut sums: [Option<Quick>; 2] = [None; 2];
    for (place, entry) in entries {
        let sum = match &sums[place] {
            Some(sum) => sum.add_affine(&entry)?,
            None => Quick::of(entry),
        };
        sums[place] = Some(sum);
    }
    Some(sums.map(|sum| sum.map_or(Point::INFINITY, |sum| sum.point())))
}

/// All ones where two small numbers are equal, else nothing.
fn is_equal(a: u64, b: u64) -> u64 {
    // A difference of zero is the only one that borrows.
    std::hint::black_box(0u64.wrapping_sub((a ^ b).wrapping_sub(1) >> 63))
}

/// A scalar in digits from -8 to 7, lowest first, and what is carried above them.
fn digits(scalar: &[u8; 32]) -> [i8; DIGITS + 1] {
    let mut digits = [0; DIGITS + 1];
    let mut carry = 0;
    for (place, byte) in scalar.iter().rev().enumerate() {
        for (half, nibble) in [byte & 15, byte >> 4].into_iter().enumerate() {
            let digit = nibble as i8 + carry;
            carry = (digit + 8) >> 4;
            digits[place * 2 + half] = digit - (carry << 4);
        }
    }
    digits[DIGITS] = carry;
    digits
}

/// A scalar in digits from -128 to 127, lowest first, and what is carried above them.
fn digits_wide(scalar: &[u8; 32]) -> [i16; ROWS] {
    let mut digits = [0; ROWS];
    let mut carry = 0;
    for (place, byte) in scalar.iter().rev().enumerate() {
        let digit = i16::from(*byte) + carry;
        carry = (digit + 128) >> 8;
        digits[place] = digit - (carry << 8);
    }
    digits[ROWS - 1] = carry;
    digits
}

/// The inverse of each point's z, by one inversion in all.
fn inverses(points: &[Point]) -> Vec<Element> {
    let mut products = Vec::with_capacity(points.len());
    let mut product = Element::ONE;
    for point in points {
        products.push(product);
        product = product * point.z;
    }
    let mut inverse = product.invert();
    for (before, point) in products.iter_mut().zip(points).rev() {
        *before = *before * inverse;
        inverse = inverse * point.z;
    }
    products
}
