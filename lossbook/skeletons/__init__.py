"""What `lossbook new-chapter` and `lossbook new-loss` lay down."""
