;; y += A x for an antisymmetric matrix A of float64: as antisymmetric.wat does it in float32, with two
;; columns at a time. Tiles are 4 rows of 2 columns, 64 bytes, in the order they are read; a row of
;; tiles begins at the last multiple of 8 columns up to the diagonal, with 4 whole tiles. n is a
;; multiple of 8; x, y and a are addresses of bytes. The products are fused or not, as the machine has
;; it (relaxed SIMD).
;;
;; antisymmetric.ts holds the bytes that wabt makes of this file.
(module
  (memory (export "memory") 1)
  (func (export "multiply") (param $n i32) (param $a i32) (param $x i32) (param $y i32)
    (local $row i32) (local $column i32) (local $target i32) (local $end i32) (local $past i32)
    (local $x0 v128) (local $x1 v128) (local $x2 v128) (local $x3 v128)
    (local $s0 v128) (local $s1 v128) (local $s2 v128) (local $s3 v128)
    (local $right v128) (local $won v128) (local $cells v128)
    (local.set $end (i32.add (local.get $x) (i32.shl (local.get $n) (i32.const 3))))
    (local.set $row (local.get $x))
    (loop $rows
      (local.set $x0 (v128.load64_splat (local.get $row)))
      (local.set $x1 (v128.load64_splat offset=8 (local.get $row)))
      (local.set $x2 (v128.load64_splat offset=16 (local.get $row)))
      (local.set $x3 (v128.load64_splat offset=24 (local.get $row)))
      (local.set $s0 (v128.const i64x2 0 0))
      (local.set $s1 (v128.const i64x2 0 0))
      (local.set $s2 (v128.const i64x2 0 0))
      (local.set $s3 (v128.const i64x2 0 0))
      ;; the block of columns on the diagonal: 8 from the multiple of 8 on
      (local.set $column (i32.sub (local.get $row)
        (i32.and (i32.sub (local.get $row) (local.get $x)) (i32.const 63))))
      (local.set $past (i32.add (local.get $column) (i32.const 64)))
      (loop $diagonal
        (local.set $right (v128.load (local.get $column)))
        (local.set $s0 (f64x2.relaxed_madd
          (v128.load (local.get $a)) (local.get $right) (local.get $s0)))
        (local.set $s1 (f64x2.relaxed_madd
          (v128.load offset=16 (local.get $a)) (local.get $right) (local.get $s1)))
        (local.set $s2 (f64x2.relaxed_madd
          (v128.load offset=32 (local.get $a)) (local.get $right) (local.get $s2)))
        (local.set $s3 (f64x2.relaxed_madd
          (v128.load offset=48 (local.get $a)) (local.get $right) (local.get $s3)))
        (local.set $a (i32.add (local.get $a) (i32.const 64)))
        (local.set $column (i32.add (local.get $column) (i32.const 16)))
        (br_if $diagonal (i32.lt_u (local.get $column) (local.get $past))))
      (local.set $target
        (i32.add (local.get $y) (i32.sub (local.get $column) (local.get $x))))
      (block $done
        (br_if $done (i32.ge_u (local.get $column) (local.get $end)))
        (loop $columns
          ;; tile 1 of 4
          (local.set $right (v128.load (local.get $column)))
          (local.set $won (v128.load (local.get $target)))
          (local.set $cells (v128.load (local.get $a)))
          (local.set $s0
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s0)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x0) (local.get $won)))
          (local.set $cells (v128.load offset=16 (local.get $a)))
          (local.set $s1
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s1)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x1) (local.get $won)))
          (local.set $cells (v128.load offset=32 (local.get $a)))
          (local.set $s2
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s2)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x2) (local.get $won)))
          (local.set $cells (v128.load offset=48 (local.get $a)))
          (local.set $s3
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s3)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x3) (local.get $won)))
          (v128.store (local.get $target) (local.get $won))
          (local.set $a (i32.add (local.get $a) (i32.const 64)))
          (local.set $column (i32.add (local.get $column) (i32.const 16)))
          (local.set $target (i32.add (local.get $target) (i32.const 16)))
          ;; tile 2 of 4
          (local.set $right (v128.load (local.get $column)))
          (local.set $won (v128.load (local.get $target)))
          (local.set $cells (v128.load (local.get $a)))
          (local.set $s0
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s0)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x0) (local.get $won)))
          (local.set $cells (v128.load offset=16 (local.get $a)))
          (local.set $s1
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s1)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x1) (local.get $won)))
          (local.set $cells (v128.load offset=32 (local.get $a)))
          (local.set $s2
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s2)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x2) (local.get $won)))
          (local.set $cells (v128.load offset=48 (local.get $a)))
          (local.set $s3
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s3)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x3) (local.get $won)))
          (v128.store (local.get $target) (local.get $won))
          (local.set $a (i32.add (local.get $a) (i32.const 64)))
          (local.set $column (i32.add (local.get $column) (i32.const 16)))
          (local.set $target (i32.add (local.get $target) (i32.const 16)))
          ;; tile 3 of 4
          (local.set $right (v128.load (local.get $column)))
          (local.set $won (v128.load (local.get $target)))
          (local.set $cells (v128.load (local.get $a)))
          (local.set $s0
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s0)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x0) (local.get $won)))
          (local.set $cells (v128.load offset=16 (local.get $a)))
          (local.set $s1
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s1)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x1) (local.get $won)))
          (local.set $cells (v128.load offset=32 (local.get $a)))
          (local.set $s2
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s2)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x2) (local.get $won)))
          (local.set $cells (v128.load offset=48 (local.get $a)))
          (local.set $s3
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s3)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x3) (local.get $won)))
          (v128.store (local.get $target) (local.get $won))
          (local.set $a (i32.add (local.get $a) (i32.const 64)))
          (local.set $column (i32.add (local.get $column) (i32.const 16)))
          (local.set $target (i32.add (local.get $target) (i32.const 16)))
          ;; tile 4 of 4
          (local.set $right (v128.load (local.get $column)))
          (local.set $won (v128.load (local.get $target)))
          (local.set $cells (v128.load (local.get $a)))
          (local.set $s0
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s0)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x0) (local.get $won)))
          (local.set $cells (v128.load offset=16 (local.get $a)))
          (local.set $s1
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s1)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x1) (local.get $won)))
          (local.set $cells (v128.load offset=32 (local.get $a)))
          (local.set $s2
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s2)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x2) (local.get $won)))
          (local.set $cells (v128.load offset=48 (local.get $a)))
          (local.set $s3
            (f64x2.relaxed_madd (local.get $cells) (local.get $right) (local.get $s3)))
          (local.set $won
            (f64x2.relaxed_nmadd (local.get $cells) (local.get $x3) (local.get $won)))
          (v128.store (local.get $target) (local.get $won))
          (local.set $a (i32.add (local.get $a) (i32.const 64)))
          (local.set $column (i32.add (local.get $column) (i32.const 16)))
          (local.set $target (i32.add (local.get $target) (i32.const 16)))
          (br_if $columns (i32.lt_u (local.get $column) (local.get $end)))))
      ;; the sums over each row's two lanes
      (local.set $target (i32.add (local.get $y) (i32.sub (local.get $row) (local.get $x))))
      (v128.store (local.get $target) (f64x2.add (v128.load (local.get $target)) (f64x2.add
        (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $s0) (local.get $s1))
        (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31
          (local.get $s0) (local.get $s1)))))
      (v128.store offset=16 (local.get $target)
        (f64x2.add (v128.load offset=16 (local.get $target)) (f64x2.add
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $s2) (local.get $s3))
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31
            (local.get $s2) (local.get $s3)))))
      (local.set $row (i32.add (local.get $row) (i32.const 32)))
      (br_if $rows (i32.lt_u (local.get $row) (local.get $end))))))
