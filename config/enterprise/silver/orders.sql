-- Columns keep the source's names, so that `unchanged` means the same ones here.
SELECT
  _row,
  _op AS op,
  _seq AS change_seq,
  _unchanged AS unchanged,
  order_id,
  customer_id,
  product_id,
  quantity,
  unit_price,
  upper(trim(currency)) AS currency,
  lower(trim(status)) AS status,
  note,
  CAST(ordered_at AS TIMESTAMP) AS ordered_at,
  CAST(updated_at AS TIMESTAMP) AS updated_at
FROM {{ changes "bronze.raw_orders" }}
