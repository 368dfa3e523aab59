SELECT k, seq, v, amount, CASE WHEN is_deleted THEN 'delete' ELSE 'update' END AS op
FROM {{ changes "silver.soft" }}
