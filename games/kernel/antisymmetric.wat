;; y += A x for an antisymmetric matrix A of float32, of which only tiles on and above the diagonal
;; are kept: each tile above it is loaded once and serves y_I += A_IJ x_J and y_J -= A_IJᵀ x_I.
;;
;; Tiles are 4 rows of 4 columns, 64 bytes, in the order they are read: row of tiles by row of tiles,
;; from the diagonal to the right. A row of tiles begins at the last multiple of 16 columns up to the
;; diagonal, and its first 4 tiles are whole, so that those right of them can be taken 4 in a turn.
;; n is a multiple of 16; x, y and a are addresses of bytes. The products are fused or not, as the
;; machine has it (relaxed SIMD).
;;
;; Addresses advance after each tile, where offsets could: an engine that checks bounds in code keeps a
;; limit per offset, and has registers for few.
;;
;; antisymmetric.ts holds the bytes that wabt makes of this file.
(module
  (memory (export "memory") 1)
  (func (export "multiply") (param $n i32) (param $a i32) (param $x i32) (param $y i32)
    (local $row i32) (local $column i32) (local $target i32) (local $end i32) (local $past i32)
    (local $x0 v128) (local $x1 v128) (local $x2 v128) (local $x3 v128)
    (local $s0 v128) (local $s1 v128) (local $s2 v128) (local $s3 v128)
    (local $right v128) (local $won v128) (local $cells v128) (local $odd v128)
    (local.set $end (i32.add (local.get $x) (i32.shl (local.get $n) (i32.const 2))))
    (local.set $row (local.get $x))
    (loop $rows
      (local.set $x0 (v128.load32_splat (local.get $row)))
      (local.set $x1 (v128.load32_splat offset=4 (local.get $row)))
      (local.set $x2 (v128.load32_splat offset=8 (local.get $row)))
      (local.set $x3 (v128.load32_splat offset=12 (local.get $row)))
      (local.set $s0 (v128.const i64x2 0 0))
      (local.set $s1 (v128.const i64x2 0 0))
      (local.set $s2 (v128.const i64x2 0 0))
      (local.set $s3 (v128.const i64x2 0 0))
      ;; the block of columns on the diagonal: 16 from the multiple of 16 on
      (local.set $column (i32.sub (local.get $row)
        (i32.and (i32.sub (local.get $row) (local.get $x)) (i32.const 63))))
      (local.set $past (i32.add (local.get $column) (i32.const 64)))
      (loop $diagonal
        (local.set $right (v128.load (local.get $column)))
        (local.set $s0 (f32x4.relaxed_madd
          (v128.load (local.get $a)) (local.get $right) (local.get $s0)))
        (local.set $s1 (f32x4.relaxed_madd
          (v128.load offset=16 (local.get $a)) (local.get $right) (local.get $s1)))
        (local.set $s2 (f32x4.relaxed_madd
          (v128.load offset=32 (local.get $a)) (local.get $right) (local.get $s2)))
        (local.set $s3 (f32x4.relaxed_madd
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
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s0)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x0) (local.get $won)))
          (local.set $cells (v128.load offset=16 (local.get $a)))
          (local.set $s1
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s1)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x1) (local.get $won)))
          (local.set $cells (v128.load offset=32 (local.get $a)))
          (local.set $s2
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s2)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x2) (local.get $won)))
          (local.set $cells (v128.load offset=48 (local.get $a)))
          (local.set $s3
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s3)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x3) (local.get $won)))
          (v128.store (local.get $target) (local.get $won))
          (local.set $a (i32.add (local.get $a) (i32.const 64)))
          (local.set $column (i32.add (local.get $column) (i32.const 16)))
          (local.set $target (i32.add (local.get $target) (i32.const 16)))
          ;; tile 2 of 4
          (local.set $right (v128.load (local.get $column)))
          (local.set $won (v128.load (local.get $target)))
          (local.set $cells (v128.load (local.get $a)))
          (local.set $s0
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s0)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x0) (local.get $won)))
          (local.set $cells (v128.load offset=16 (local.get $a)))
          (local.set $s1
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s1)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x1) (local.get $won)))
          (local.set $cells (v128.load offset=32 (local.get $a)))
          (local.set $s2
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s2)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x2) (local.get $won)))
          (local.set $cells (v128.load offset=48 (local.get $a)))
          (local.set $s3
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s3)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x3) (local.get $won)))
          (v128.store (local.get $target) (local.get $won))
          (local.set $a (i32.add (local.get $a) (i32.const 64)))
          (local.set $column (i32.add (local.get $column) (i32.const 16)))
          (local.set $target (i32.add (local.get $target) (i32.const 16)))
          ;; tile 3 of 4
          (local.set $right (v128.load (local.get $column)))
          (local.set $won (v128.load (local.get $target)))
          (local.set $cells (v128.load (local.get $a)))
          (local.set $s0
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s0)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x0) (local.get $won)))
          (local.set $cells (v128.load offset=16 (local.get $a)))
          (local.set $s1
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s1)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x1) (local.get $won)))
          (local.set $cells (v128.load offset=32 (local.get $a)))
          (local.set $s2
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s2)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x2) (local.get $won)))
          (local.set $cells (v128.load offset=48 (local.get $a)))
          (local.set $s3
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s3)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x3) (local.get $won)))
          (v128.store (local.get $target) (local.get $won))
          (local.set $a (i32.add (local.get $a) (i32.const 64)))
          (local.set $column (i32.add (local.get $column) (i32.const 16)))
          (local.set $target (i32.add (local.get $target) (i32.const 16)))
          ;; tile 4 of 4
          (local.set $right (v128.load (local.get $column)))
          (local.set $won (v128.load (local.get $target)))
          (local.set $cells (v128.load (local.get $a)))
          (local.set $s0
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s0)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x0) (local.get $won)))
          (local.set $cells (v128.load offset=16 (local.get $a)))
          (local.set $s1
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s1)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x1) (local.get $won)))
          (local.set $cells (v128.load offset=32 (local.get $a)))
          (local.set $s2
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s2)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x2) (local.get $won)))
          (local.set $cells (v128.load offset=48 (local.get $a)))
          (local.set $s3
            (f32x4.relaxed_madd (local.get $cells) (local.get $right) (local.get $s3)))
          (local.set $won
            (f32x4.relaxed_nmadd (local.get $cells) (local.get $x3) (local.get $won)))
          (v128.store (local.get $target) (local.get $won))
          (local.set $a (i32.add (local.get $a) (i32.const 64)))
          (local.set $column (i32.add (local.get $column) (i32.const 16)))
          (local.set $target (i32.add (local.get $target) (i32.const 16)))
          (br_if $columns (i32.lt_u (local.get $column) (local.get $end)))))
      ;; the sums over each row's four lanes: transposed and added
      (local.set $target (i32.add (local.get $y) (i32.sub (local.get $row) (local.get $x))))
      (local.set $won (f32x4.add
        (i8x16.shuffle 0 1 2 3 16 17 18 19 8 9 10 11 24 25 26 27 (local.get $s0) (local.get $s1))
        (i8x16.shuffle 4 5 6 7 20 21 22 23 12 13 14 15 28 29 30 31
          (local.get $s0) (local.get $s1))))
      (local.set $odd (f32x4.add
        (i8x16.shuffle 0 1 2 3 16 17 18 19 8 9 10 11 24 25 26 27 (local.get $s2) (local.get $s3))
        (i8x16.shuffle 4 5 6 7 20 21 22 23 12 13 14 15 28 29 30 31
          (local.get $s2) (local.get $s3))))
      (local.set $cells (f32x4.add
        (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $won) (local.get $odd))
        (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31
          (local.get $won) (local.get $odd))))
      (v128.store (local.get $target)
        (f32x4.add (v128.load (local.get $target)) (local.get $cells)))
      (local.set $row (i32.add (local.get $row) (i32.const 16)))
      (br_if $rows (i32.lt_u (local.get $row) (local.get $end))))))
