SELECT
  _row,
  CAST(CUSTOMER_ID AS BIGINT) AS customer_id,
  lower(trim(EMAIL)) AS email,
  trim(NAME) AS name,
  upper(trim(COUNTRY)) AS country,
  SEGMENT AS segment,
  CAST(CREDIT_LIMIT AS DECIMAL(12, 2)) AS credit_limit,
  CAST(UPDATED_AT AS TIMESTAMP) AS updated_at
FROM {{ changes "bronze.raw_customers" }}
